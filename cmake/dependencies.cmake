# Every dependency comes from Debian's packages; the line beside it says why it is here.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)          # Asio: event loops and coroutines; Beast: the HTTP parser; Unordered: flat tables of the live store
find_package(simdjson REQUIRED)            # JSON in: the fastest parser measured
find_package(SQLite3 REQUIRED)             # the journal, the ledger and content when embedded
find_package(PostgreSQL REQUIRED)          # libpq: the ledger and content when scaled
find_package(OpenSSL REQUIRED)             # random bytes, constant-time comparison, hashes
find_package(spdlog REQUIRED)              # logs
find_package(fmt REQUIRED)                 # text formatting
find_package(CLI11 REQUIRED)               # the command line
find_package(PkgConfig REQUIRED)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)   # seeded hashes of ids that clients choose; checksums of journal entries
pkg_check_modules(cjose REQUIRED IMPORTED_TARGET cjose)        # JSON Web Tokens and key sets (needs libjansson-dev)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus) # the configuration file
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis)    # the parser of what Redis answers
pkg_check_modules(vips REQUIRED IMPORTED_TARGET vips)          # images: decoding, resizing, JPEG
pkg_check_modules(webp REQUIRED IMPORTED_TARGET libwebp)       # images as WebP: libvips 8.14 leaves metadata in it
set_property(TARGET PkgConfig::vips PROPERTY INTERFACE_COMPILE_OPTIONS "")  # its -pthread does not go with the precompiled header
find_package(CURL REQUIRED)                # requests to other servers: TLS, redirects, time-outs
find_package(date REQUIRED)                # time zones: libstdc++ 12 has none
pkg_check_modules(prometheus REQUIRED IMPORTED_TARGET prometheus-cpp-core)         # /metrics in the format Prometheus reads
if(HEARTH_TESTS)
  find_package(GTest REQUIRED)             # tests
  find_package(rapidcheck REQUIRED)        # property tests: random operations, and the shortest sequence that fails
endif()
