#pragma once

//   GET /api/admin/diagnostics   what is wrong with likes, as to_json(Diagnosis) has it

#include "hearth/api/routes.h"
#include "hearth/app/adoption/diagnoser.h"

namespace hearth::app::adoption {

// `diagnoser` outlives the router.
void add_diagnosis_routes(api::Routes& routes, Diagnoser& diagnoser);

}  // namespace hearth::app::adoption
