import type { Tags } from 'yaml';

/** Scalars of a tag by PyYAML, where the reader's YAML 1.1 takes more: `e0`, `12e3`, `09` and `y` are texts. */
const FORMS: readonly { readonly tag: string; readonly example: string; readonly test: RegExp }[] = [
  { tag: 'bool', example: 'yes', test: /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/ },
  { tag: 'bool', example: 'no', test: /^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/ },
  { tag: 'int', example: '9', test: /^[-+]?(?:0|[1-9][0-9_]*)$/ },
  { tag: 'int', example: '9:59', test: /^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+$/ },
  { tag: 'float', example: '1e+1', test: /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)[eE][-+][0-9]+$/ },
  { tag: 'float', example: '1.5', test: /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)$/ },
];

/** The tags of the reader's YAML 1.1, as PyYAML's safe loader resolves them (yaml/resolver.py). */
export function pyYamlTags(tags: Tags): Tags {
  return tags.map((tag) => {
    if (typeof tag === 'string' || !('test' in tag) || !tag.test) return tag;
    const { test } = tag;
    const form = FORMS.find((each) => tag.tag === `tag:yaml.org,2002:${each.tag}` && test.test(each.example));
    return form ? { ...tag, test: form.test } : tag;
  });
}
