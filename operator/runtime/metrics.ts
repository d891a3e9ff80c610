/**
 * Metrics of the runtime, with the names of controller-runtime and client-go so that their dashboards fit, and
 * three of our own that start with `prefix`. One RuntimeMetrics a Registry: prom-client refuses a second.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Controller, ControllerMetrics } from './controller.ts'
import type { RequestObservation } from './kubernetes-api.ts'
import type { ReflectorMetrics } from './reflector.ts'
import type { WorkQueueMetrics } from './work-queue.ts'

export interface RuntimeMetricsOptions {
  readonly registry: Registry
  /** Of our own names, such as `example_operator`. */
  readonly prefix: string
}

export interface RuntimeMetrics {
  readonly reflector: ReflectorMetrics
  readonly election: { leading(name: string, isLeader: boolean): void }
  /** For KubernetesApi. */
  observeRequest(observation: RequestObservation): void
  /** To be given to the Controller of this name. */
  controller(name: string, concurrency: number): ControllerMetrics
  /** Shows a controller's queue and workers, read at each scrape; in the place of one of the same name. */
  expose(controller: Pick<Controller, 'name' | 'state'>): void
}

// controller-runtime's and client-go's buckets, so that quantiles compare.
const reconcileBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const queueBuckets = [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000]
const requestBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60]

export function createRuntimeMetrics(options: RuntimeMetricsOptions): RuntimeMetrics {
  const sources = new Map<string, Pick<Controller, 'state'>>()
  registerStateGauges(options.registry, sources)
  return {
    reflector: reflectorMetrics(options),
    election: electionMetrics(options.registry),
    observeRequest: requestMetrics(options.registry),
    controller: controllerMetrics(options.registry),
    expose: (controller) => void sources.set(controller.name, controller),
  }
}

function reflectorMetrics({ registry, prefix }: RuntimeMetricsOptions): ReflectorMetrics {
  const registers = [registry]
  const objects = new Gauge({
    registers,
    name: `${prefix}_informer_objects`,
    help: 'Objects in a cache',
    labelNames: ['resource'],
  })
  const lastEvent = new Gauge({
    registers,
    name: `${prefix}_informer_last_event_timestamp_seconds`,
    help: 'When a cache last changed or was listed',
    labelNames: ['resource'],
  })
  const restarts = new Counter({
    registers,
    name: `${prefix}_watch_restarts_total`,
    help: 'Lists and watches that failed',
    labelNames: ['resource', 'reason'],
  })
  return {
    changed(resource, count, at) {
      objects.set({ resource }, count)
      lastEvent.set({ resource }, at / 1000)
    },
    restarted: (resource, reason) => restarts.inc({ resource, reason }),
  }
}

function electionMetrics(registry: Registry): RuntimeMetrics['election'] {
  const status = new Gauge({
    registers: [registry],
    name: 'leader_election_master_status',
    help: '1 while this process leads',
    labelNames: ['name'],
  })
  return { leading: (name, isLeader) => status.set({ name }, isLeader ? 1 : 0) }
}

function requestMetrics(registry: Registry): RuntimeMetrics['observeRequest'] {
  const registers = [registry]
  const total = new Counter({
    registers,
    name: 'rest_client_requests_total',
    help: 'Requests to the API server',
    labelNames: ['code', 'method', 'host'],
  })
  const duration = new Histogram({
    registers,
    name: 'rest_client_request_duration_seconds',
    help: 'Time until the head of the answer',
    labelNames: ['verb', 'host'],
    buckets: requestBuckets,
  })
  return ({ method, host, code, seconds }) => {
    total.inc({ code, method, host })
    duration.observe({ verb: method, host }, seconds)
  }
}

function controllerMetrics(registry: Registry): RuntimeMetrics['controller'] {
  const reconcile = reconcileFamilies(registry)
  const queue = queueFamilies(registry)
  return (name, concurrency) => {
    reconcile.maxConcurrent.set({ controller: name }, concurrency)
    // Zero, not absent: an alert on an increase sees the first failure too.
    for (const counter of [...Object.values(reconcile.failures), reconcile.timeouts]) {
      counter.inc({ controller: name }, 0)
    }
    queue.retries.inc({ name }, 0)
    return {
      queue: queueMetrics(queue, reconcile.timeouts, name),
      reconciled(result, seconds) {
        reconcile.total.inc({ controller: name, result })
        reconcile.time.observe({ controller: name }, seconds)
      },
      failed(failure) {
        reconcile.failures.error.inc({ controller: name })
        if (failure !== 'error') reconcile.failures[failure].inc({ controller: name })
      },
    }
  }
}

function reconcileFamilies(registry: Registry) {
  const registers = [registry]
  const labelNames = ['controller'] as const
  const counter = (name: string, help: string): Counter<'controller'> =>
    new Counter({ registers, name: `controller_runtime_${name}`, help, labelNames })
  return {
    total: new Counter({
      registers,
      name: 'controller_runtime_reconcile_total',
      help: 'Reconciles by result',
      labelNames: ['controller', 'result'],
    }),
    failures: {
      error: counter('reconcile_errors_total', 'Reconciles that failed'),
      terminal: counter('terminal_reconcile_errors_total', 'Reconciles that failed and are not tried again'),
      panic: counter('reconcile_panics_total', 'Reconciles that failed by a mistake in the program'),
    },
    timeouts: counter('reconcile_timeouts_total', 'Reconciles that took longer than their limit'),
    time: new Histogram({
      registers,
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'Length of a reconcile',
      labelNames,
      buckets: reconcileBuckets,
    }),
    maxConcurrent: new Gauge({
      registers,
      name: 'controller_runtime_max_concurrent_reconciles',
      help: 'Workers of a controller',
      labelNames,
    }),
  }
}

interface QueueFamilies {
  readonly adds: Counter<'name'>
  readonly retries: Counter<'name'>
  readonly waited: Histogram<'name'>
  readonly worked: Histogram<'name'>
}

function queueFamilies(registry: Registry): QueueFamilies {
  const registers = [registry]
  const labelNames = ['name'] as const
  const family = (name: string, help: string) => ({ registers, name: `workqueue_${name}`, help, labelNames })
  return {
    adds: new Counter(family('adds_total', 'Keys added')),
    retries: new Counter(family('retries_total', 'Keys that failed and come again')),
    waited: new Histogram({
      ...family('queue_duration_seconds', 'Time from added to started'),
      buckets: queueBuckets,
    }),
    worked: new Histogram({ ...family('work_duration_seconds', 'Time of the work'), buckets: queueBuckets }),
  }
}

function queueMetrics(queue: QueueFamilies, timeouts: Counter<'controller'>, name: string): WorkQueueMetrics {
  return {
    added: () => queue.adds.inc({ name }),
    retried: () => queue.retries.inc({ name }),
    started: (seconds) => queue.waited.observe({ name }, seconds),
    finished: (seconds) => queue.worked.observe({ name }, seconds),
    timedOut: () => timeouts.inc({ controller: name }),
  }
}

type State = ReturnType<Controller['state']>

function registerStateGauges(
  registry: Registry,
  sources: ReadonlyMap<string, Pick<Controller, 'state'>>,
): void {
  const gauge = (
    name: string,
    help: string,
    label: 'name' | 'controller',
    read: (state: State) => number,
  ): void => {
    const labelNames = [label]
    const metric = new Gauge({ registers: [registry], name, help, labelNames, collect })
    function collect(): void {
      for (const [source, controller] of sources) metric.set({ [label]: source }, read(controller.state()))
    }
  }
  gauge('workqueue_depth', 'Keys ready to run', 'name', ({ depth }) => depth)
  gauge('workqueue_unfinished_work_seconds', 'Time of all running work', 'name', ({ runningSeconds }) =>
    runningSeconds.reduce((sum, seconds) => sum + seconds, 0),
  )
  gauge('workqueue_longest_running_processor_seconds', 'Time of the longest running work', 'name', (state) =>
    Math.max(0, ...state.runningSeconds),
  )
  gauge(
    'controller_runtime_active_workers',
    'Workers at work',
    'controller',
    ({ activeWorkers }) => activeWorkers,
  )
}
