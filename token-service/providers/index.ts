import type { ProviderType } from '#core/resources/identity-provider.ts'
import { auth0 } from './auth0.ts'
import { clerk } from './clerk.ts'
import { firebase } from './firebase.ts'
import { oidc } from './oidc.ts'
import type { ProviderKind } from './provider.ts'
import { supabase } from './supabase.ts'

/** Every kind of provider. One that core names and this list lacks does not compile. */
export const providerKinds: { readonly [Type in ProviderType]: ProviderKind<Type> } = {
  supabase,
  firebase,
  auth0,
  clerk,
  oidc,
}
