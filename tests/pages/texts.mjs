// The dictionaries: every language has the same areas, keys and values.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/// Plural forms of a language; others have more or fewer.
const FORM = /\.(zero|one|two|few|many|other)$/;

/// Fails for an area, key or `{value}` that one language has and another lacks.
export async function checkTexts(directory) {
  const languages = await readdir(directory);
  const [first, ...others] = await Promise.all(
    languages.map(async (language) => [language, await read(join(directory, language))]),
  );
  for (const [language, texts] of others) {
    assert.deepEqual([...texts.keys()].sort(), [...first[1].keys()].sort(), `texts of ${language} and ${first[0]}`);
    for (const [key, values] of texts)
      assert.deepEqual(values, first[1].get(key), `values in ${key} of ${language} and ${first[0]}`);
  }
}

/// Returns the names of the values in each text, by area and key.
async function read(directory) {
  const texts = new Map();
  for (const file of await readdir(directory)) {
    const { default: dictionary } = await import(pathToFileURL(join(directory, file)));
    for (const [key, text] of Object.entries(dictionary)) {
      const name = `${file}: ${key.replace(FORM, "")}`;
      const values = [...text.matchAll(/\{(\w+)\}/g)].map(([, value]) => value);
      texts.set(name, [...new Set([...(texts.get(name) ?? []), ...values])].sort());
    }
  }
  return texts;
}
