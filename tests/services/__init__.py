"""Real servers for the tests, the demo and the benchmarks, each started in a folder of its own."""
