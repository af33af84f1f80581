#include "hearth/app/dataset/demo.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "hearth/app/dataset/data_line.h"

namespace hearth::app::dataset {
namespace {

using std::chrono::minutes;

constexpr std::uint32_t kVisitors = kDemoPostLikes;

struct Person {
  const char* id;  // the username too
  const char* display_name;
  const char* bio;
  int days_here;
};

constexpr Person kPeople[] = {
    {kDemoAuthor, "Lucía Fernández", "Fotógrafa de naturaleza. Del Ártico a los Andes.", 410},
    {"mateo_cocina", "Mateo Ruiz", "Cocino, pruebo, repito. Sevilla.", 388},
    {"hannah.runs", "Hannah Cole", "Slow marathons, fast coffee.", 365},
    {"sofia_lee", "Sofía Paredes", "Un libro por semana, más o menos.", 340},
    {"diego-bici", "Diego Molina", "En bici a todas partes.", 301},
    {"priya_codes", "Priya Nair", "Distributed systems by day, houseplants by night.", 280},
    {"tom_bakes", "Tom Whitaker", "Sourdough and strong opinions about butter.", 254},
    {"valen_cielo", "Valentina Soto", "Astronomía de balcón desde Valparaíso.", 222},
    {"kenji_film", "Kenji Mori", "35 mm, mostly black and white.", 190},
    {"abuela_carmen", "Carmen Ortega", "Huerto, nietos y refranes.", 133},
    {"nora_climbs", "Nora Lindqvist", "Granite, mostly. Falling, sometimes.", 96},
    {"julian_mar", "Julián Vega", "Biólogo marino. Pregúntame por los pulpos.", 61},
};

struct DemoPost {
  const char* id;
  const char* author;
  int minutes_ago;
  std::uint32_t likes;
  const char* content;
};

constexpr DemoPost kPosts[] = {
    {"cafe-lluvia", "sofia_lee", 6, 3, "Llueve, hay café y me quedan cien páginas. No contesto a nadie."},
    {"five-am", "hannah.runs", 19, 11, "5 a.m., 12 km, one very judgemental owl."},
    {"pulpo-frasco", "julian_mar", 38, 58, "Hoy un pulpo abrió el frasco antes que yo. Sin comentarios."},
    {"cardamom-buns", "tom_bakes", 55, 42, "Cardamom buns are out of the oven. You have about eleven minutes."},
    {"jupiter", "valen_cielo", 82, 97, "Júpiter y sus cuatro lunas desde el balcón, entre dos nubes y un edificio."},
    {"cache-bug", "priya_codes", 110, 133, "Spent the day on a cache bug. It was the clock. It is always the clock."},
    {"tomates", "abuela_carmen", 141, 76, "Los primeros tomates del huerto. Feos como ellos solos y ricos como ninguno."},
    {kDemoPost, kDemoAuthor, 190, kDemoPostLikes, "Oso polar en su habitat natural"},
    {"carril-bici", "diego-bici", 233, 29, "Carril bici nuevo hasta el puerto. Lo he estrenado tres veces, por si acaso."},
    {"rain-on-slab", "nora_climbs", 275, 18, "Forecast said dry. The slab disagreed."},
    {"ferry", "kenji_film", 320, 64, "Last ferry, first roll of the month. The one with the gull came out."},
    {"gazpacho", "mateo_cocina", 371, 88, "Gazpacho sin pepino. Sí, lo he dicho."},
    {"ballena", "julian_mar", 440, 212, "Escuchamos a la ballena antes de verla. Veinte minutos de silencio en el barco."},
    {"borrowed-books", "sofia_lee", 512, 37, "Lista de libros que presté y no volvieron: ya ocupa dos páginas."},
    {"half-marathon", "hannah.runs", 600, 71, "Half marathon done. Knees have filed a complaint."},
    {"zorro", kDemoAuthor, 690, 301, "Zorro ártico cambiando de abrigo. Dos horas tumbada en la nieve por esta foto."},
    {"monstera", "priya_codes", 760, 54, "The monstera has a new leaf. Deploys are frozen until further notice."},
    {"milky-way", "valen_cielo", 845, 178, "Apagón en todo el barrio. La Vía Láctea, por fin, sin pedir permiso."},
    {"butter", "tom_bakes", 930, 26, "Cold butter. I will not be taking questions."},
    {"tortilla", "mateo_cocina", 1'020, 145, "Tortilla con cebolla, poco cuajada. Abro debate y me voy."},
    {"alfama", "kenji_film", 1'150, 83, "Lisbon, Alfama, the light at seven. Nothing to add."},
    {"refran", "abuela_carmen", 1'290, 119, "Quien siembra con prisa, recoge con calma. Y al revés también, que lo he visto."},
    {"puncture", "diego-bici", 1'410, 14, "Dos pinchazos en un día. La bici quiere decirme algo."},
    {"first-lead", "nora_climbs", 1'530, 92, "First clean lead on the long crack. Hands look like they lost a fight. They won."},
    {"glaciar", kDemoAuthor, 1'700, 264, "El glaciar suena como una puerta vieja cuando se mueve. Lo grabé."},
    {"proof", "priya_codes", 1'880, 47, "Wrote the proof, found the bug in step two. Best kind of Friday."},
    {"plancton", "julian_mar", 2'060, 105, "Noche de plancton bioluminiscente. Cada remada, una galaxia."},
    {"night-bread", "tom_bakes", 2'250, 33, "Baking at night because the kitchen is quiet and so am I."},
    {"saturno", "valen_cielo", 2'480, 156, "Mi sobrina ha visto los anillos de Saturno. Pregunta si son de quitar y poner."},
    {"second-hand", "sofia_lee", 2'700, 22, "Dentro de un libro usado había una entrada de cine de 1987. Buena película."},
    {"negative-splits", "hannah.runs", 2'960, 19, "Negative splits, positive attitude. In that order, eventually."},
    {"croquetas", "mateo_cocina", 3'240, 187, "Cuarenta croquetas. Éramos cuatro. No sobró ninguna."},
    {"puente", "diego-bici", 3'560, 41, "El puente viejo, sin coches, un domingo a las ocho. Así siempre, por favor."},
    {"darkroom", "kenji_film", 3'900, 68, "The darkroom smells like vinegar and patience."},
    {"compost", "abuela_carmen", 4'260, 51, "El compost no huele si se hace bien. El del vecino, en fin."},
    {"sea-cliff", "nora_climbs", 4'700, 77, "Sea cliff, calm day, one very curious seal."},
};

static_assert(std::ranges::count(kPosts, kDemoPostLikes, &DemoPost::likes) == 1 &&
                  std::ranges::all_of(kPosts, [](const DemoPost& post) { return post.likes <= kDemoPostLikes; }),
              "the demo's post leads the rank alone");

struct DemoStory {
  const char* id;
  const char* author;
  int days_ago;
  std::uint64_t views;
  const char* title;
  const char* summary;
};

constexpr DemoStory kStories[] = {
    {kDemoStory, kDemoAuthor, 21, 1'284, "La ruta del hielo",
     "Treinta días tras una osa polar y su cría, de Svalbard al borde de la banquisa."},
    {"bosque-de-niebla", kDemoAuthor, 12, 903, "El bosque de niebla", "Cuatro noches buscando al oso de anteojos en los Andes."},
    {"la-lengua-del-pulpo", "julian_mar", 5, 467, "La lengua del pulpo", "Qué se dicen los pulpos cuando cambian de color."},
};

struct DemoChapter {
  const char* id;
  const char* story;
  int position;
  int days_ago;
  std::uint64_t views;
  const char* title;
  const char* content;
};

constexpr DemoChapter kChapters[] = {
    {"ruta-del-hielo-1", kDemoStory, 1, 21, 1'010, "Longyearbyen",
     "El avión aterriza a las dos de la tarde y ya es de noche. En la puerta del hotel hay un cartel: dejen las botas y los rifles."},
    {"ruta-del-hielo-2", kDemoStory, 2, 18, 742, "Huellas",
     "Las huellas de la madre miden lo que mi antebrazo. Las de la cría van siempre dentro, como si la nieve quemara."},
    {"bosque-de-niebla-1", "bosque-de-niebla", 1, 12, 655, "Tres mil metros",
     "A esta altura el bosque no se ve: se oye. Gotas, ranas y, una sola vez, algo grande que rompe una rama y se queda quieto."},
    {"bosque-de-niebla-2", "bosque-de-niebla", 2, 10, 498, "Los anteojos",
     "Baja del árbol de espaldas, como un bombero mayor. Nos mira con sus anteojos dorados y decide que no somos interesantes."},
    {"la-lengua-del-pulpo-1", "la-lengua-del-pulpo", 1, 5, 391, "Rojo quiere decir no",
     "Dos machos en la misma grieta. Uno se pone rojo, el otro blanco. Aquí termina la discusión, y también mi primera hipótesis."},
};

std::string visitor(std::uint32_t number) {
  return fmt::format("visitor-{:03}", number + 1);
}

// The likes of a post come evenly from its beginning until now, from visitors who begin at another one for each post.
void append_likes(std::string& out, const DemoPost& post, std::uint32_t first_visitor, UtcMicros now) {
  auto age = std::chrono::milliseconds(minutes(post.minutes_ago));
  for (std::uint32_t i = 0; i < post.likes; ++i) {
    auto at = now - age * (post.likes - i) / (post.likes + 1);
    append_rating(out, post.id, visitor((first_visitor + i) % kVisitors), to_rfc3339(at));
  }
}

void append_stories(std::string& out, UtcMicros now) {
  for (const DemoStory& story : kStories) {
    append_story(out, {.id = content::StoryId::trusted(story.id),
                       .author = UserId::trusted(story.author),
                       .title = story.title,
                       .summary = story.summary,
                       .read_count = story.views,
                       .created_at = now - std::chrono::days(story.days_ago)});
  }
  for (const DemoChapter& chapter : kChapters) {
    append_chapter(out, {.id = content::ChapterId::trusted(chapter.id),
                         .story = content::StoryId::trusted(chapter.story),
                         .title = chapter.title,
                         .content = chapter.content,
                         .position = chapter.position,
                         .read_count = chapter.views,
                         .created_at = now - std::chrono::days(chapter.days_ago)});
  }
}

}  // namespace

std::string demo_dataset(UtcMicros now) {
  now = std::chrono::floor<std::chrono::milliseconds>(now);
  std::string out;
  for (const Person& person : kPeople) {
    append_user(out, {.id = UserId::trusted(person.id),
                      .username = person.id,
                      .display_name = person.display_name,
                      .bio = person.bio,
                      .created_at = now - std::chrono::days(person.days_here)});
  }
  for (const DemoPost& post : kPosts) {
    append_post(out, {.id = PostId::trusted(post.id),
                      .author = UserId::trusted(post.author),
                      .author_username = post.author,
                      .content = post.content,
                      .created_at = now - minutes(post.minutes_ago)});
  }
  append_stories(out, now);
  std::uint32_t first_visitor = 0;
  for (const DemoPost& post : kPosts) {
    append_likes(out, post, first_visitor, now);
    first_visitor += 37;
  }
  return out;
}

}  // namespace hearth::app::dataset
