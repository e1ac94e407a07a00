// What a server costs: CPU time and peak memory of a process and its descendants, from Linux's /proc. Elsewhere nothing is known.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'

export interface Usage {
  readonly cpuSeconds: number
  /** Sum of the peaks of the processes: pages that they share count more than once. */
  readonly peakRssBytes: number
}

/** USER_HZ, the unit of times in /proc/PID/stat: 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** Forgets the peaks so far, so that the next `usageOf` tells those from now on (proc(5), /proc/pid/clear_refs). */
export function resetPeaks(root: number): void {
  if (process.platform !== 'linux') return
  for (const pid of treeOf(root)) writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

export function usageOf(root: number): Usage | undefined {
  if (process.platform !== 'linux') return undefined
  let ticks = 0
  let peakRssBytes = 0
  for (const pid of treeOf(root)) {
    const fields = statFields(pid)
    ticks += Number(fields[11]) + Number(fields[12])
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    peakRssBytes += Number(peak?.[1] ?? 0) * 1024
  }
  return { cpuSeconds: ticks / TICKS_PER_SECOND, peakRssBytes }
}

function treeOf(root: number): number[] {
  const children = Map.groupBy(allProcesses(), ({ parent }) => parent)
  const tree = [root]
  for (const pid of tree) tree.push(...(children.get(pid) ?? []).map(child => child.pid))
  return tree
}

function allProcesses(): { pid: number; parent: number }[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        return [{ pid: Number(name), parent: Number(statFields(Number(name))[1]) }]
      } catch {
        // It ended since the directory was read.
        return []
      }
    })
}

/** The fields of /proc/PID/stat from the state on: [0] state, [1] parent, [11] user time, [12] system time. */
function statFields(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name before it is in parentheses and may hold spaces and parentheses itself.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
