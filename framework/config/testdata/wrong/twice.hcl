data = "a"
data = "b"
storage "tsv" { }
storage "tsv" { }
