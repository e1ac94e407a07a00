// Signals of one request or one transfer, which live shorter than those they follow.

export interface FollowingSignal {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
  /** Follows no longer; the signal stays as it is. */
  detach(): void
}

/**
 * A signal that is aborted with any of `leaders`, and on its own.
 *
 * Not `AbortSignal.any`: what that makes stays registered with its sources until the garbage collector comes by, and one download makes thousands.
 */
export function following(...leaders: readonly (AbortSignal | undefined)[]): FollowingSignal {
  const controller = new AbortController()
  const followed = leaders.filter(leader => leader !== undefined)
  const onAbort = (event: Event): void => controller.abort((event.target as AbortSignal).reason)
  for (const leader of followed) {
    if (leader.aborted) controller.abort(leader.reason)
    leader.addEventListener('abort', onAbort)
  }
  return {
    signal: controller.signal,
    abort: reason => controller.abort(reason),
    detach: () => {
      for (const leader of followed) leader.removeEventListener('abort', onAbort)
    },
  }
}
