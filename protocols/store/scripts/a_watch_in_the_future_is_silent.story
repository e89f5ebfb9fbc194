# Contract items 42 and 51; etcd#20221: a watch that resumes on a member which lags is given changes
# from before its start, or is told progress that it has not made.
(put a 1)
watch w all from=5
poll w
expect answer="[] next 5" got.w=""
---
looks at 5 next
[] next 5
as expected

(put a 2)
(put a 3)
poll w
expect answer="[] next 5, synced" got.w=""
---
[] next 5, synced
as expected

(put a 4)
poll w
expect got.w="+a@5" next.w=6
---
[+a@5] next 6, synced
as expected
