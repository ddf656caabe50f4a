"""A SLURM with accounting: MariaDB on a socket and slurmdbd beside it, both started by hand.

Debian: ``apt-get install --no-install-recommends slurmdbd mariadb-server``.
"""

from tests.support.cluster import Cluster, absent, wait_for

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-admin", "mariadb-install-db", "sacct", "sacctmgr")

DBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=accounts
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""


def missing() -> str:
    """What this machine lacks for it beside a SLURM, in words; empty if nothing."""
    return absent(PROGRAMS)


class AccountedCluster(Cluster):
    """Within ``with``: as :class:`Cluster`, and ``sacct`` has answers."""

    # AccountingStoragePass: where the clients of slurmdbd look for munge, whatever AuthInfo says
    accounting = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge.socket
JobAcctGatherType=jobacct_gather/linux"""

    def states(self, job: str) -> list[list[str]]:
        """What sacct says of the starts of a job, or of those of an array: its number and state."""
        told = self.run(
            *("sacct", "-n", "-P", "-X", "--duplicates", "--format=JobID,State", "-j", job)
        )
        return [line.split("|") for line in told.splitlines()]

    def _start_accounting(self) -> None:
        data, sock = self.folder / "mysql", self.folder / "mysql.socket"
        own = ("--no-defaults", "--user=root", f"--datadir={data}")
        self.run("mariadb-install-db", *own, "--auth-root-authentication-method=normal")
        small = ("--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M")
        self._daemon("mariadbd", *own, f"--socket={sock}", "--skip-networking", *small)
        ping = ("mariadb-admin", "--no-defaults", "--user=root", f"--socket={sock}", "ping")
        wait_for(lambda: "alive" in self.run(*ping, check=False), "mariadbd")
        # where its client looks for a server of this machine
        self.environ["MYSQL_UNIX_PORT"] = str(sock)
        conf = self.folder / "slurmdbd.conf"
        conf.write_text(DBD.format(folder=self.folder, **self.ports))
        conf.chmod(0o600)
        self._daemon("slurmdbd", "-D")
        add = ("sacctmgr", "--immediate", "add", "cluster", "loopback")
        wait_for(lambda: "loopback" in self.run(*add, check=False), "slurmdbd")
