/** What the demo issuer uses of a package that brings no types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export interface Context {
    readonly oidc: {
      readonly client: object
      readonly params: Readonly<Record<string, string | undefined>>
      readonly provider: Provider
    }
    body: unknown
  }

  class AccessToken {
    constructor(properties: object)
    resourceServer: object
    scope: string
    readonly expiration: number
    save(): Promise<string>
  }

  class IdToken {
    constructor(claims: object, context: { ctx: Context })
    scope: string
    set(name: string, value: unknown): void
    issue(options: { use: 'idtoken'; expiresAt: number }): Promise<string>
  }

  export class Provider {
    constructor(issuer: string, configuration: object)
    readonly AccessToken: typeof AccessToken
    readonly IdToken: typeof IdToken
    readonly ResourceServer: new (identifier: string, data: object) => object
    registerGrantType(
      name: string,
      handler: (ctx: Context) => Promise<void>,
      parameters: ReadonlySet<string>,
    ): void
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    on(event: 'server_error', listener: (ctx: Context, error: Error) => void): this
  }

  export const errors: { readonly InvalidRequest: new (description: string) => Error }
}
