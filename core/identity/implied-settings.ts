/** What the settings of a provider mean without saying it: for who verifies its tokens, and who judges a change of them. */

export const supabaseIssuer = (url: string): string => `${url.replace(/\/+$/, '')}/auth/v1`

export const firebaseIssuer = (projectId: string): string => `https://securetoken.google.com/${projectId}`

/** Of a provider of type oidc that names none. */
export const usualAlgorithms = ['RS256', 'ES256'] as const
