import { Gauge, type Registry } from 'prom-client'

/** A gauge that costs nothing until somebody asks; not there while `read` says undefined. */
export function readGauge(
  registry: Registry,
  name: string,
  help: string,
  read: () => number | undefined,
): void {
  const gauge: Gauge = new Gauge({
    registers: [registry],
    name,
    help,
    collect() {
      const value = read()
      if (value === undefined) gauge.remove()
      else gauge.set(value)
    },
  })
}
