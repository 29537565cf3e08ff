// Questions to the routes beside this page.

// A sentence that says what the user can do.
export class Problem extends Error {}

export async function ask(route, parameters) {
  const url = new URL(`../${route}`, import.meta.url);
  for (const [key, value] of Object.entries(parameters)) if (value) url.searchParams.set(key, value);
  const response = await fetch(url, { cache: "no-store" }).catch(() => {
    throw new Error("TensorBoard does not answer: what is shown may be out of date.");
  });
  if (!response.ok) {
    throw new Error(`TensorBoard answered with status ${response.status}: its terminal says why.`);
  }
  const answer = await response.json();
  if (answer.problem) throw new Problem(answer.problem);
  return answer;
}
