/** What a dashboard shows, in few words; `grafanaOf` makes of it what Grafana reads. */
export interface Dashboard {
  /** Of the file, and of the dashboard in Grafana. */
  readonly name: string
  readonly title: string
  /** As `cloudsignal_build_info` calls it. */
  readonly program: string
  readonly rows: Readonly<Record<string, readonly Panel[]>>
}

export interface Panel {
  readonly title: string
  /** What it shows where the title does not say it. */
  readonly about?: string
  readonly unit: Unit
  /** One number, the last, instead of a graph. */
  readonly isNumber?: true
  /** PromQL, and what each line of it is called: `{{label}}` is the value of that label. */
  readonly queries: readonly (readonly [expression: string, legend: string])[]
}

export type Unit = 'short' | 'reqps' | 's' | 'bytes' | 'percentunit' | 'cps'

const width = 24

/** The variables of a dashboard are the data source, the namespace, and the pods in it. */
export const selected = (more = ''): string =>
  `{namespace="$namespace", pod=~"$pod"${more === '' ? '' : `, ${more}`}}`

/** Per second. */
export const rate = (metric: string, more = ''): string =>
  `rate(${metric}${selected(more)}[$__rate_interval])`

export const perSecond = (metric: string, by: string, more = ''): string =>
  `sum by (${by}) (${rate(metric, more)})`

/** Half of them, and all but one in a hundred, took no longer. */
export const durations = (
  metric: string,
  by = '',
  more = '',
): readonly (readonly [expression: string, legend: string])[] =>
  ([0.5, 0.99] as const).map((share) => [
    `histogram_quantile(${share}, sum by (le${by === '' ? '' : `, ${by}`}) (${rate(`${metric}_bucket`, more)}))`,
    `p${share * 100}${by === '' ? '' : ` {{${by}}}`}`,
  ])

export function grafanaOf({ name, title, program, rows }: Dashboard): object {
  let id = 0
  let y = 0
  const panels = Object.entries(rows).flatMap(([row, panels]) => {
    const head = {
      id: (id += 1),
      type: 'row',
      title: row,
      collapsed: false,
      gridPos: { x: 0, y, w: width, h: 1 },
    }
    y += 1
    let x = 0
    const placed = panels.map((panel) => {
      const [w, h] = panel.isNumber ? [4, 4] : [8, 8]
      if (x + w > width) [x, y] = [0, y + h]
      const place = { x, y, w, h }
      x += w
      return panelOf(panel, (id += 1), place)
    })
    y += panels.at(-1)?.isNumber ? 4 : 8
    return [head, ...placed]
  })
  return {
    uid: `cloudsignal-${name}`,
    title,
    tags: ['cloudsignal'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: { list: variablesFor(program) },
    panels,
  }
}

const source = { type: 'prometheus', uid: '$datasource' }

function panelOf({ title, about, unit, isNumber, queries }: Panel, id: number, gridPos: object): object {
  return {
    id,
    type: isNumber ? 'stat' : 'timeseries',
    title,
    ...(about === undefined ? {} : { description: about }),
    gridPos,
    datasource: source,
    fieldConfig: { defaults: { unit, ...(isNumber ? {} : { min: 0 }) }, overrides: [] },
    options: isNumber
      ? { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, graphMode: 'area' }
      : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: source,
      expr,
      legendFormat,
      ...(isNumber ? { instant: true } : {}),
    })),
  }
}

function variablesFor(program: string): readonly object[] {
  const query = (name: string, query: string, more: object = {}): object => ({
    name,
    type: 'query',
    datasource: source,
    query: { query, refId: name },
    refresh: 2,
    sort: 1,
    ...more,
  })
  const build = `cloudsignal_build_info{program="${program}"`
  return [
    { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
    query('namespace', `label_values(${build}}, namespace)`, { label: 'Namespace' }),
    query('pod', `label_values(${build}, namespace="$namespace"}, pod)`, {
      label: 'Pod',
      multi: true,
      includeAll: true,
      current: { text: 'All', value: '$__all' },
    }),
  ]
}
