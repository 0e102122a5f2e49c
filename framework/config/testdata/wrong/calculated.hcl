data       = upper("x")
scripts    = "${HOME}/scripts"
station_id = station
env        = [for x in ["a"] : x]
storage "tsv" {
  workers = 1 + 2
  fsync   = true ? "always" : "never"
}
transport "http" {
  listen = "127.0.0.1:%{ if true }1%{ endif }"
}
