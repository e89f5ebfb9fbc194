// The npm package etcd3 against a cluster: node client.mjs ENDPOINTS CHECK...
//
// Each check prints one line, "ok NAME" or "FAILED NAME: why"; the exit code says whether all passed. The check "auth"
// turns access control on, so it wants a cluster of its own; its tokens have to end after three seconds without a call.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import etcd3 from "etcd3";

const {
  Etcd3,
  EtcdAuthenticationFailedError,
  EtcdLockFailedError,
  EtcdPermissionDeniedError,
  EtcdRoleExistsError,
  EtcdUserExistsError,
  EtcdUserNotFoundError,
} = etcd3;

// How long one check may take, in milliseconds.
const LIMIT = 50_000;

const hosts = process.argv[2].split(",").map((host) => `http://${host}`);
const connect = (auth) => new Etcd3({ hosts, auth });

// The next of an emitter's events.
const next = (emitter, name) =>
  new Promise((resolve, reject) => {
    emitter.once(name, resolve);
    if (name !== "error") emitter.once("error", reject);
  });

async function kv(client) {
  await client.put("node/kv/a").value("one");
  assert.equal(await client.get("node/kv/a").string(), "one");
  const before = await client.put("node/kv/a").value("two").getPrevious();
  assert.equal(before.value.toString(), "one");
  await client.put("node/kv/b").value(17);
  assert.deepEqual(await client.getAll().prefix("node/kv/").strings(), { "node/kv/a": "two", "node/kv/b": "17" });
  assert.equal(await client.getAll().prefix("node/kv/").count(), 2);
  const swapped = await client
    .if("node/kv/a", "Value", "==", "two")
    .then(client.put("node/kv/a").value("three"))
    .else(client.get("node/kv/a"))
    .commit();
  assert.equal(swapped.succeeded, true);
  assert.equal((await client.delete().prefix("node/kv/")).deleted, "2");
  assert.equal(await client.get("node/kv/a").string(), null);
}

async function lease(client) {
  const lease = client.lease(5);
  await lease.put("node/lease").value("bound");
  await next(lease, "keepaliveSucceeded");
  assert.equal(await client.get("node/lease").string(), "bound");
  await lease.revoke();
  assert.equal(await client.get("node/lease").string(), null);
}

async function watch(client) {
  const watcher = await client.watch().prefix("node/watch/").create();
  const put = next(watcher, "put");
  await client.put("node/watch/k").value("v");
  assert.equal((await put).value.toString(), "v");
  const gone = next(watcher, "delete");
  await client.delete().key("node/watch/k");
  assert.equal((await gone).key.toString(), "node/watch/k");
  await watcher.cancel();
}

async function lock(client) {
  const held = client.lock("node/lock");
  await held.acquire();
  await assert.rejects(client.lock("node/lock").acquire(), EtcdLockFailedError);
  await held.release();
  assert.equal(await client.lock("node/lock").do(async () => "inside"), "inside");
}

async function election(client) {
  const election = client.election("node/election", 5);
  const first = election.campaign("first");
  await first.wait();
  assert.equal(await election.leader(), "first");
  const observer = await election.observe();
  const second = election.campaign("second");
  const elected = next(second, "elected");
  const told = new Promise((resolve) =>
    observer.on("change", (value) => (value === "second" ? resolve() : undefined)),
  );
  await first.resign();
  await elected;
  await told;
  await observer.cancel();
  await second.resign();
}

async function auth(client) {
  const root = await client.user("root").create("rootpw");
  const everything = await client.role("root").create();
  await root.addRole(everything);
  const alice = await client.user("alice").create("alicepw");
  await assert.rejects(client.user("alice").create("again"), EtcdUserExistsError);
  await assert.rejects(client.user("ghost").addRole("root"), EtcdUserNotFoundError);
  const role = await client.role("app").create();
  await assert.rejects(client.role("app").create(), EtcdRoleExistsError);
  const range = client.range({ prefix: "node/auth/" });
  await role.grant({ permission: "Readwrite", range });
  await alice.addRole("app");
  const [granted] = await role.permissions();
  assert.deepEqual([granted.permission, granted.range.start.toString()], ["Readwrite", "node/auth/"]);
  assert.deepEqual((await alice.roles()).map((held) => held.name), ["app"]);
  await client.auth.authEnable();

  const wrong = connect({ username: "alice", password: "wrong" });
  await assert.rejects(wrong.get("node/auth/k").string(), EtcdAuthenticationFailedError);
  wrong.close();
  const hers = connect({ username: "alice", password: "alicepw" });
  const roots = connect({ username: "root", password: "rootpw" });
  try {
    await hers.put("node/auth/k").value("1");
    await assert.rejects(hers.put("elsewhere").value("1"), EtcdPermissionDeniedError);
    await assert.rejects(hers.getAll().strings(), EtcdPermissionDeniedError);
    await assert.rejects(hers.user("bob").create("pw"), EtcdPermissionDeniedError);
    const held = hers.lease(8);
    await held.put("node/auth/leased").value("v");
    const watcher = await hers.watch().key("node/auth/k").create();
    const put = next(watcher, "put");
    // Longer than a token lives that nobody shows.
    await sleep(9_000);
    await roots.put("node/auth/k").value("2");
    assert.equal((await put).value.toString(), "2");
    await watcher.cancel();
    // The client notices that its token has ended, and logs in again.
    await eventually(async () => (await hers.get("node/auth/k").string()) === "2");
    assert.equal(await roots.get("node/auth/leased").string(), "v", "its lease was kept alive");
    await held.revoke();
    await hers.lock("node/auth/lock").do(async () => undefined);
    await roots.role("app").revoke({ permission: "Readwrite", range });
    await assert.rejects(hers.get("node/auth/k").string(), EtcdPermissionDeniedError);
    await roots.auth.authDisable();
  } finally {
    hers.close();
    roots.close();
  }
  // A member that has not heard of it yet asks who calls.
  await eventually(async () => (await client.get("node/auth/k").string()) === "2");
}

async function eventually(probe) {
  let last;
  for (let tries = 0; tries < 20; tries++) {
    try {
      if (await probe()) return;
    } catch (error) {
      last = error;
    }
    await sleep(100);
  }
  throw last ?? new Error("it never came");
}

const checks = { kv, lease, watch, lock, election, auth };

let failed = false;
for (const name of process.argv.slice(3)) {
  const client = connect();
  try {
    const late = sleep(LIMIT, undefined, { ref: false }).then(() => assert.fail(`not done after ${LIMIT} ms`));
    await Promise.race([checks[name](client), late]);
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.stack ?? error}`);
    failed = true;
  } finally {
    client.close();
  }
}
process.exit(failed ? 1 : 0);
