import { DomainError, type Problem } from '#core/errors.ts'
import { programRegistry } from '#core/metrics/program-registry.ts'
import { serveProbes } from '#core/process/probe-server.ts'
import type { ProgramContext } from '#core/process/program.ts'
import type { SettingsOf } from '#core/process/settings.ts'
import { brokerSettings } from '../settings.ts'
import { Supervisor } from './supervisor.ts'

type Context = ProgramContext<SettingsOf<typeof brokerSettings>>

/** What the first process does where there are several: it starts the others, and serves no client itself. */
export async function supervise({ settings, log, shutdown }: Context): Promise<void> {
  const ports = { mqttsPort: settings.mqttsPort, wssPort: settings.wssPort, mqttPort: settings.mqttPort }
  const problems = Object.entries(ports).flatMap(([key, port]): Problem[] =>
    port === 0
      ? [
          {
            field: brokerSettings[key as keyof typeof ports].name,
            value: 0,
            remedy: 'give the port that workers share',
          },
        ]
      : [],
  )
  if (problems.length > 0)
    throw new DomainError('invalid-settings', 'workers can not share a free port', { problems })
  const registry = programRegistry('broker')
  registry.setDefaultLabels({ worker: 'supervisor' })
  const program = process.argv[1] ?? ''
  const supervisor = new Supervisor({ count: settings.workers, program, log, registry })
  process.once('exit', () => supervisor.kill())
  const address = { host: settings.probeHost, port: settings.probePort }
  const probes = await serveProbes(address, (path) => supervisor.answer(path))
  shutdown.add('probes', () => probes.close())
  shutdown.add('workers', () => supervisor.close())
  await supervisor.start()
  if (shutdown.signal.aborted) return
  log.info({ workers: settings.workers, probes: probes.port }, 'all workers are ready')
}
