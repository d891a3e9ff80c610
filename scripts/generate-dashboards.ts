/** Writes the dashboards of the chart. With --check it only compares. */
import { broker } from './dashboards/broker.ts'
import { grafanaOf } from './dashboards/dashboard.ts'
import { operator } from './dashboards/operator.ts'
import { tokenService } from './dashboards/token-service.ts'
import { generateDirectory } from './generated-directory.ts'

await generateDirectory(
  new URL('../charts/cloudsignal/files/dashboards/', import.meta.url),
  '.json',
  new Map(
    [broker, tokenService, operator].map((dashboard) => [
      `${dashboard.name}.json`,
      `${JSON.stringify(grafanaOf(dashboard), undefined, 1)}\n`,
    ]),
  ),
)
