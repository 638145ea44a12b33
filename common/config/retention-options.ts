import { z } from 'zod';
import { ageOption, count, durationOption } from './units.ts';

/** How long disks, records, exports and images are kept. */
export const retentionOptions = z
  .strictObject({
    failure: durationOption
      .prefault('30m')
      .describe('How long disks of a failed module are kept; 0 removes them at once.'),
    builds: durationOption.prefault('168h').describe('How long records and logs of finished builds are kept.'),
    exports: durationOption.prefault('1h').describe('How long the file of an export is kept after its last use.'),
    images: z
      .strictObject({
        keep: count
          .optional()
          .describe('This many of the newest versions of each module are kept at any age; 1 by default.'),
        maxAge: ageOption
          .optional()
          .describe('How long other versions are kept, such as `30d`; where only `keep` is set, not at all.'),
        untagged: ageOption
          .optional()
          .describe('The same for versions without a tag of a module that has tags; as `maxAge` by default.'),
        modules: z
          .record(
            z.string(),
            z.strictObject({ keep: count.optional(), maxAge: ageOption.optional(), untagged: ageOption.optional() }),
          )
          .default({})
          .describe(
            'Options for the versions of a module, by its name, instead of the options above. `{}` keeps them all.',
          ),
      })
      .prefault({})
      .describe(
        'Images that the farm removes by itself. It never removes one that has a tag, that a kept one was made from, or that a running build needs; without any of these options it removes none.',
      ),
  })
  .prefault({})
  .describe('How long disks, records, exports and images are kept.');
