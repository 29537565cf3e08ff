// Questions to the routes beside this page.

// A sentence that says what the user can do.
export class Problem extends Error {}

// The answer with its version; null where it is still the given version.
export async function ask(route, parameters = {}, version = null) {
  const url = new URL(`../${route}`, import.meta.url);
  for (const [key, value] of Object.entries(parameters)) if (value) url.searchParams.set(key, value);
  const headers = version ? { "If-None-Match": version } : {};
  const response = await fetch(url, { headers, cache: "no-store" });
  if (response.status === 304) return null;
  if (!response.ok) {
    throw new Error(`TensorBoard answered with status ${response.status}: its terminal says why.`);
  }
  const answer = await response.json();
  if (answer.problem) throw new Problem(answer.problem);
  return { ...answer, version: response.headers.get("ETag") };
}
