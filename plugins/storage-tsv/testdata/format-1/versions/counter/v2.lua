-- ÿ not UTF-8
return 2