import { readdirSync, readFileSync } from 'node:fs'

export interface ReadDashboard {
  readonly file: string
  readonly title: string
  readonly uid: string
  readonly queries: readonly string[]
}

interface Grafana {
  readonly title: string
  readonly uid: string
  readonly panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[]
}

const directory = new URL('../../charts/cloudsignal/files/dashboards/', import.meta.url)

/** The dashboards as the chart has them. */
export function readDashboards(): readonly ReadDashboard[] {
  return readdirSync(directory).map((file) => {
    const { title, uid, panels } = JSON.parse(readFileSync(new URL(file, directory), 'utf8')) as Grafana
    return {
      file,
      title,
      uid,
      queries: panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    }
  })
}
