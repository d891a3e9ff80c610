import type { AccessRule } from '#core/access/access-rule.ts'
import type { ResourceRule } from './resource.ts'

/** A deny that seems to deny less than it does: nobody means what it would do. */
export function wholeDenies<Name extends 'rules' | 'access'>(
  name: Name,
): ResourceRule<{ readonly [Key in Name]?: AccessRule[] }> {
  return {
    field: `spec.${name}`,
    at: 'spec',
    cel: `!has(self.${name}) || self.${name}.all(rule, rule.effect == 'allow' || !(has(rule.maxQos) || has(rule.retain)))`,
    remedy: 'leave maxQos and retain out of a deny: it denies at every QoS, retained or not',
    holds: ({ spec }) =>
      (spec[name] ?? []).every(
        ({ effect, maxQos, retain }) => effect === 'allow' || (maxQos === undefined && retain === undefined),
      ),
  }
}
