"""Containers that wait: started before there is a run for them, used once.

A member of a pool is a container under the whole profile of its template, whose program waits on the FIFO of its
context folder. Its folder, `pool/<runner>/<slot>`, is a workspace with an empty code tree; its runner holds the writing
end of the FIFO. A run that finds a member of exactly its template takes it, in this order:

    look        at its age, its log (which says that it died, or wrote something), its files; a byte shows that it reads
    code        as hard links from where it lies, or copies, up to a bound
    run.json    with the handle, the member's place and the moment of the start: its time begins here
    execution   a file in the member's folder: whose it is from now on
    context     secrets among it; `context.json` comes last, and whole
    the FIFO    is closed

So what a runner leaves that dies at any instruction is unambiguous. As the FIFO goes with it, its members end: those
that wait find no `context.json`. An execution whose member has none was never started; one whose member has one is
adopted as any other. What belongs to no execution, `sweep` removes when the runner is known to be dead.

Whatever differs from each template is a miss, and runs cold, as does a run that a member cannot be told of: variables
and secrets that must be there when the interpreter starts. A member that is not as it should be is never given out.

A run's outcome says that its member has ended; its container and its folder are the pool's to remove, in threads of its
own, until that works. Where its runner dies or is closed over that, `sweep` removes them as those that waited. The
member of a run with secrets goes before the outcome: they are in its context, and maybe in the log that its engine has.

One thread of the runner, the keeper, lets members be started, a few at once and so fast at most; after failures it
waits longer and longer, with one at a time, and in the end gives up, with the reason. It looks at those that wait, and
replaces the old.

An engine has to do nothing but to say, by `Engine.prepare`, that containers which run see what is written for them.
"""

from botdock.pool._delivery import deliver
from botdock.pool._kind import Kind
from botdock.pool._leavings import claimed, folder_of, is_stray, left_by_the_dead, of_executions, sweep
from botdock.pool._member import Member
from botdock.pool._pool import Pool
from botdock.pool._status import PoolReport, PoolStatus, read_reports

__all__ = [
    "Kind",
    "Member",
    "Pool",
    "PoolReport",
    "PoolStatus",
    "claimed",
    "deliver",
    "folder_of",
    "is_stray",
    "left_by_the_dead",
    "of_executions",
    "read_reports",
    "sweep",
]
