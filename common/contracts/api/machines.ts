import { z } from 'zod';
import { serialPieceSchema } from '../serial.ts';
import { sshAccessSchema } from '../ssh-access.ts';
import type { Operations } from './operation.ts';
import * as requests from './parameters.ts';

/** Machines of a build: screen, serial port, console, SSH. */
export const MACHINES = {
  readScreenshot: {
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/screenshot',
    params: requests.vmParamsSchema,
    summary: 'The screen of a VM: live while it runs, else the picture that was kept.',
    role: 'viewer',
    answers: { 200: { mediaType: 'image/png' } },
    query: requests.vmQuerySchema,
  },
  streamSerial: {
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/serial',
    params: requests.vmParamsSchema,
    summary:
      'The output of the first serial port of a VM as server-sent events, resumable by Last-Event-ID, until its layer build has ended. The last 256 KiB are kept as long as the build.',
    role: 'viewer',
    answers: { 200: { mediaType: 'text/event-stream', schema: serialPieceSchema } },
    query: requests.serialQuerySchema,
    headers: requests.serialHeadersSchema,
  },
  openConsole: {
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/vnc',
    params: requests.vmParamsSchema,
    summary:
      'The console of a VM as a WebSocket with the subprotocol `binary`: RFB 3.8 as noVNC speaks it, without a password. It may be opened before the VM is there. The owner of the build and admins can type while a `handbuild` step waits; otherwise it is view-only. Browsers send the token as one more subprotocol, `base64url.bearer.authorization.slipway.dev.` and its base64url without padding.',
    role: 'viewer',
    answers: { 101: { mediaType: null } },
    query: requests.vmQuerySchema,
  },
  openSerialConsole: {
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/serial-console',
    params: requests.vmParamsSchema,
    summary:
      'The first serial port of a machine as a WebSocket with the subprotocol `binary`: raw bytes in both directions. The rules for typing and for the token of browsers are those of the screen. It ends with the machine, or when a client outside the farm takes it over.',
    role: 'viewer',
    answers: { 101: { mediaType: null } },
    query: requests.vmQuerySchema,
  },
  readSshAccess: {
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/ssh-access',
    params: requests.vmParamsSchema,
    summary:
      'How to log in to a machine while a step of it waits for a person: the user, and the private key of the build. For the owner of the build and admins.',
    role: 'builder',
    answers: { 200: { schema: sshAccessSchema } },
    query: requests.vmQuerySchema,
    isAudited: true,
  },
  openSsh: {
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/ssh',
    params: requests.vmParamsSchema,
    summary:
      'The SSH server of a machine as a WebSocket with the subprotocol `binary`: raw bytes in both directions, while a step of it waits for a person. For the owner of the build and admins.',
    role: 'builder',
    answers: { 101: { mediaType: null } },
    query: requests.vmQuerySchema,
    isAudited: true,
  },
  continueHandbuild: {
    method: 'post',
    path: '/api/v1/builds/{id}/vms/{vm}/continue',
    params: requests.vmParamsSchema,
    summary:
      'Continue the step of a VM that waits for a person: a `handbuild` step, or one that has failed and whose machine is kept. `NotWaiting` (409) when none waits. For the owner of the build and admins.',
    role: 'builder',
    answers: { 202: { schema: z.object({ buildId: z.string(), vm: z.string(), step: z.int() }) } },
    query: requests.continueQuerySchema,
    isAudited: true,
  },
} as const satisfies Operations;
