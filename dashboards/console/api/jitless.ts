import { config } from 'zod';

/** Loaded before any schema is made: the content security policy of the page forbids the code that zod would compile. */
config({ jitless: true });
