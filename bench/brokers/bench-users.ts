/** The users `bench_0` to `bench_99`, here and there with the same password. */
export const users = 100
export const password = 'cs_mu_benchmarks-are-run-on-the-loopback-only'
