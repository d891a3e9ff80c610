import { Type, type Static, type TSchema } from 'typebox'

export const apiGroup = 'cloudsignal.app'
export const apiVersion = 'v1alpha1'
/** On our CRDs: a number that grows with what they take. The operator needs the one that it was made with. */
export const schemaVersionAnnotation = `${apiGroup}/schema-version`

/** What Kubernetes keeps about an object, as far as we read it. */
export interface Metadata {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly generation: number
  readonly resourceVersion?: string
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly finalizers?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

/** An object of one of our kinds, as it comes from the API server or from a manifest file. */
export interface Resource<Spec = unknown, Status = unknown> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Metadata
  readonly spec: Spec
  readonly status?: Status
}

/**
 * A rule between fields that a schema can not say. One table of them feeds the CRDs' CEL and standalone's
 * checks: `cel` and `holds` must agree, and one corpus of manifests proves it.
 */
export interface ResourceRule<Spec> {
  /** Path of the field to blame, below the object: `spec.passwordSecretRef`. */
  readonly field: string
  /** CEL over `self` (and `oldSelf` for a transition), rooted at `at`. */
  readonly cel: string
  /** Where the rule hangs: the whole object, or its spec. */
  readonly at: 'object' | 'spec'
  /** What would be right, as an instruction. */
  readonly remedy: string
  /** `old` is the object before the change; without it a transition rule holds. */
  readonly holds: (
    object: { readonly name: string; readonly spec: Spec },
    old?: { readonly spec: Spec },
  ) => boolean
}

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string
  readonly type: 'string' | 'boolean' | 'date' | 'integer'
  readonly jsonPath: string
  readonly priority?: number
}

/** One kind: everything that the CRD generator, standalone and the operator need to know of it. */
export interface ResourceKind<Spec extends TSchema = TSchema, Status extends TSchema = TSchema> {
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly description: string
  readonly spec: Spec
  readonly status: Status
  readonly rules: readonly ResourceRule<Static<Spec>>[]
  readonly columns: readonly PrinterColumn[]
}

/** KEP-1623, metav1.Condition. */
export const ConditionSchema = Type.Object({
  type: Type.String({ maxLength: 316 }),
  status: Type.Enum(['True', 'False', 'Unknown']),
  reason: Type.String({ minLength: 1, maxLength: 1024 }),
  message: Type.String({ maxLength: 32_768 }),
  lastTransitionTime: Type.String({ format: 'date-time' }),
  observedGeneration: Type.Optional(Type.Integer({ minimum: 0 })),
})
export type Condition = Static<typeof ConditionSchema>

/** Beside what a kind reports of its own. */
export const commonStatus = {
  observedGeneration: Type.Optional(
    Type.Integer({ description: 'The generation that the conditions speak of.' }),
  ),
  conditions: Type.Optional(
    Type.Array(ConditionSchema, {
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    }),
  ),
} as const

export const readyColumns: readonly PrinterColumn[] = [
  { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  {
    name: 'Message',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].message',
    priority: 1,
  },
]
