# etcd#15220, contract items 51 and 52: a watcher is told progress while events before it are still to come. A client
# that stores that revision and resumes after it misses them.
(put a 1)
watch w all from=2
(put b 1)
(put c 1)
poll w budget=1
expect answer="[+a@2] next 3"
---
looks at 2 next
[+a@2] next 3
as expected

poll w budget=1
expect answer="[+b@3] next 4"
---
[+b@3] next 4
as expected

poll w
expect answer="[+c@4] next 5, synced"
---
[+c@4] next 5, synced
as expected
