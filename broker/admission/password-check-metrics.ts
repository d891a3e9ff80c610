import { Counter, Gauge, type Registry } from 'prom-client'

/** Of passwords that people chose. */
export interface PasswordLoad {
  /** Now. */
  readonly hashing: number
  readonly waiting: number
  /** Since the start. */
  readonly hashed: number
}

/** How much there is to do for passwords, read when somebody asks. Gives what tells whose. */
export function createPasswordCheckMetrics(registry: Registry): (read: () => PasswordLoad) => void {
  const registers = [registry]
  let load = (): PasswordLoad => ({ hashing: 0, waiting: 0, hashed: 0 })
  const checks: Gauge<'state'> = new Gauge({
    registers,
    name: 'cloudsignal_broker_password_checks',
    help: 'Passwords that people chose which are looked at now',
    labelNames: ['state'],
    collect() {
      const { hashing, waiting } = load()
      checks.set({ state: 'hashing' }, hashing)
      checks.set({ state: 'waiting' }, waiting)
    },
  })
  const hashed: Counter = new Counter({
    registers,
    name: 'cloudsignal_broker_password_hashes_total',
    help: 'Passwords that people chose which were hashed; those that were right lately are not hashed again',
    collect() {
      hashed.reset()
      hashed.inc(load().hashed)
    },
  })
  return (read) => (load = read)
}
