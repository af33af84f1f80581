#pragma once

// An open transaction of the content database, whichever that is: what several stores write into it commits together.

#include <variant>

namespace hearth::sqlite {
class Connection;
}
namespace hearth::postgres {
class Connection;
}

namespace hearth {

// Neither is null. Inside it a failing statement throws its driver's Failure.
using SqlTransaction = std::variant<sqlite::Connection*, postgres::Connection*>;

}  // namespace hearth
