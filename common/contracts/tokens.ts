import { z } from 'zod';
import { ageSchema } from './requested-durations.ts';

/** Roles of tokens, each with more rights than the one before. */
export const TOKEN_ROLES = ['viewer', 'builder', 'admin'] as const;
export const roleSchema = z.enum(TOKEN_ROLES);
export type TokenRole = z.infer<typeof roleSchema>;

/** True when `role` includes the role `needed`. */
export function includesRole(role: TokenRole, needed: TokenRole): boolean {
  return TOKEN_ROLES.indexOf(role) >= TOKEN_ROLES.indexOf(needed);
}

/** `GET /whoami`: the name and role of the calling token. */
export const identitySchema = z.object({ name: z.string(), role: roleSchema });
export type Identity = z.infer<typeof identitySchema>;

/** Whether a person may enter the machines of a build, and decide about its steps that wait: its owner, and admins. */
export function mayEnter({ name, role }: Identity, { submittedBy }: { readonly submittedBy: string | null }): boolean {
  return role === 'admin' || (role === 'builder' && submittedBy === name);
}

/** Answer of `POST /sign-in-codes`. */
export const signInCodeSchema = z.object({
  code: z.string(),
  /** How long it can be used, in milliseconds. */
  lifetimeMs: z.int(),
});

/** Name of the token of the configuration; no other token can have it. */
export const BOOTSTRAP_TOKEN = 'bootstrap';

export const tokenNameSchema = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, 'Write a name of at most 63 of a-z, 0-9, dot, dash and underscore.');

/** Body of `POST /tokens`. */
export const tokenRequestSchema = z.strictObject({
  role: roleSchema,
  /** Unique; one is made up by default. */
  name: tokenNameSchema.optional(),
  /** How long it is valid; without end by default. */
  expires: ageSchema.optional(),
});

/** Times are milliseconds since the Unix epoch. */
export const tokenViewSchema = z.object({
  name: z.string(),
  role: roleSchema,
  createdAt: z.int(),
  /** Name of the token that made it. */
  createdBy: z.string(),
  expiresAt: z.int().nullable(),
  /** To the minute. */
  lastUsedAt: z.int().nullable(),
});
export type TokenView = z.infer<typeof tokenViewSchema>;

/** The only answer that contains the token itself. */
export const createdTokenSchema = tokenViewSchema.extend({ token: z.string() });
export type CreatedToken = z.infer<typeof createdTokenSchema>;
