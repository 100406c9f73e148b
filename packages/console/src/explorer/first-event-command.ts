/** The curl that sends a first event. */

/** The five fields that `POST /v1/events` can't fill in itself. */
export function firstEventCommand(origin: string): string {
  const event = {
    kind: 'data',
    action: 'read',
    outcome: { status: 'success' },
    actor: { id: 'me' },
    targets: [{ type: 'Patient', id: 'test-1', patient: 'test-1' }],
  };
  return [
    `curl ${origin}/v1/events \\`,
    `  -H 'Authorization: Bearer wgk_…' \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d '${JSON.stringify(event).replace(',"actor"', ',\n      "actor"').replace(',"targets"', ',\n      "targets"')}'`,
  ].join('\n');
}
