# Contract item 64: a write was allowed when it was taken, and users or roles changed before its
# place in the log.
auth user root
auth grant root root
auth user u
auth role r
auth grant u r
auth allow r readwrite a c
auth on
put a 1 as=u
auth disallow r a c as=root
put a 2 as=u@7
del a as=u
put a 3 as=root@7
expect answer="refused at revision 2: Auth(OldRevision)" rev=2
---
revision 1
revision 1
revision 1
revision 1
revision 1
revision 1
revision 1
revision 2
revision 2
refused at revision 2: Auth(OldRevision)
refused at revision 2: Auth(PermissionDenied)
refused at revision 2: Auth(OldRevision)
as expected
