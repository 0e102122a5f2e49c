storage "bolt" {
  program = 7
  args    = { a = 1 }
}
transport "http" {
  args   = ["-x"]
  sha256 = "abc"
  env    = ["A", "B=hunter2"]
}
