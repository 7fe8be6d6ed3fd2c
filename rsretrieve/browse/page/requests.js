// Requests to the program that serves this page. Every address is relative: it holds the token.

const MOST_MIB = 64;  // of a body; the program refuses more

async function answered(response) {
  if (response.ok) return response;
  let said = `the program answered ${response.status}`;
  try {
    const { error, hint } = await response.json();
    said = hint ? `${error} (${hint})` : error;
  } catch { /* no JSON: the status must do */ }
  throw new Error(said);
}

export async function get(name) {
  return (await answered(await fetch(name))).json();
}

export async function numbers(name) {
  return new Float32Array(await (await answered(await fetch(name))).arrayBuffer());
}

export async function post(name, content) {
  const options = { method: "POST", body: JSON.stringify(content) };
  return (await answered(await fetch(name, options))).json();
}

export async function postFile(file, wanted) {
  if (file.size > MOST_MIB * 2 ** 20) {
    throw new Error(`${file.name} is larger than ${MOST_MIB} MiB: cut a part out of it, or search it with “rsretrieve query”`);
  }
  const query = new URLSearchParams({ name: file.name, wanted: JSON.stringify(wanted) });
  return (await answered(await fetch(`search-file?${query}`, { method: "POST", body: file }))).json();
}
