dta = "./data"
storage = "tsv"
data { }
station_id = "Not An Id"

storage "tsv" {
  fsnc     = "always"
  programm = "x"
  inner { }
}
transport "htp" { }
transport "jsonl" { }
transport { }
transport "a" "b" { program = "./x" }
transport "Bad Name" { program = "./x" }
transprt "http" { }
