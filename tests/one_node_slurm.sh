#!/bin/sh
# Start a Slurm cluster of this machine alone, with two pretended GPUs, in a new folder; all its files, logs and process ids
# (*.pid) are there.
# usage: tests/one_node_slurm.sh FOLDER, then export SLURM_CONF=FOLDER/slurm.conf PATH=FOLDER/bin:$PATH. To end it:
# kill $(cat FOLDER/*.pid).
set -eu
mkdir -p "$1/bin" "$1/spool" "$1/state"
cd "$1"
chmod 700 .
touch jobs.log
head -c 1024 /dev/urandom > munge.key
chmod 600 munge.key
munged --force --key-file="$PWD/munge.key" --socket="$PWD/munge.socket" --pid-file="$PWD/munged.pid" \
    --log-file="$PWD/munged.log" --seed-file="$PWD/munged.seed"
port=$(python3 -c 'import socket; s = socket.create_server(("localhost", 0)); print(s.getsockname()[1])')
host=$(hostname -s)
printf 'Name=gpu File=/dev/%s\n' null zero > gres.conf # any two devices
cat > slurm.conf << END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$PWD/munge.socket
CredType=cred/munge
StateSaveLocation=$PWD/state
SlurmdSpoolDir=$PWD/spool
SlurmctldPidFile=$PWD/slurmctld.pid
SlurmdPidFile=$PWD/slurmd.pid
SlurmctldLogFile=$PWD/slurmctld.log
SlurmdLogFile=$PWD/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
MpiDefault=none
GresTypes=gpu
JobCompType=jobcomp/filetxt
JobCompLoc=$PWD/jobs.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 RealMemory=70000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF="$PWD/slurm.conf"
# Snakemake's jobs take SLURM_CONF out of the environment of srun.
printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(command -v srun)" > bin/srun
chmod +x bin/srun
slurmctld
slurmd
timeout 60 sh -c 'until sinfo --noheader --format=%T 2> sinfo.log | grep --quiet idle; do sleep 0.2; done'
