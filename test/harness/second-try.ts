/**
 * How often a failed test runs again: once in CI, where a change must not wait for a race of machines under emulation,
 * and never on a developer's machine. The end of the log names what passed on its second try.
 */
export const RETRIES = process.env['CI'] === undefined ? 0 : 1;
