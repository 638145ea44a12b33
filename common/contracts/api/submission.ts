import { z } from 'zod';
import { localEntrySchema, MAX_LOCAL_FILES } from '../local-files.ts';

const MAX_FILES = 2_000;

/** Submission of the CLI: files under the names that messages use. */
export const submissionSchema = z.strictObject({
  files: z
    .array(z.strictObject({ path: z.string().max(4096), text: z.string() }))
    .min(1)
    .max(MAX_FILES),
  variables: z.record(z.string(), z.string()).default({}),
  localFiles: z
    .array(localEntrySchema)
    .max(MAX_LOCAL_FILES)
    .default([])
    .describe('The local files that the modules name; their contents are uploaded to /api/v1/blobs/{sha256}.'),
});
