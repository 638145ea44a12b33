import { z } from 'zod';
import { DOCUMENT_SCHEMAS } from './schema.ts';

/** JSON Schema (draft 2020-12) of one document of the file format, for editors; generated from what validates. */
export function moduleJsonSchema(): object {
  const { module, virtualMachineBuild, bare } = DOCUMENT_SCHEMAS;
  const document = z.union([module, virtualMachineBuild, bare]).meta({
    title: 'Slipway module',
    description: 'A module: machines, their networks and the steps that make an image of them.',
  });
  return z.toJSONSchema(document, {
    io: 'input',
    target: 'draft-2020-12',
    // zod leaves out the default of a transformed value: it cannot know that ours is of the input.
    override: ({ zodSchema, jsonSchema }) => {
      const whenMissing = z.globalRegistry.get(zodSchema)?.['default'];
      if (whenMissing !== undefined) jsonSchema.default = whenMissing as typeof jsonSchema.default;
    },
  });
}
