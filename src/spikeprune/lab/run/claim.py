"""Make a run folder a run's own: refuse what has changed, write configuration and identity."""

from dataclasses import replace

from spikeprune.data import locate
from spikeprune.data.fingerprint import agreeing, fingerprint
from spikeprune.data.random_states import unmoved
from spikeprune.errors import RunError, SpikePruneError
from spikeprune.lab.run.check import check_folder
from spikeprune.lab.run.dense_net import key_of, shared_name
from spikeprune.lab.run.identity.identity import Identity, changes, identify
from spikeprune.lab.run.identity.standing import Record, Standing, refuse_stale, settle, standing
from spikeprune.lab.run.progress.display import Display
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder, dense_folder
from spikeprune.user_code import is_import_path


def stands_in(session: Session, folder: RunFolder) -> Standing:
    """Return how an unfinished run goes on in its folder, see `standing`; writes nothing."""
    record = Record.read(folder)
    identity = session.identity if record is None else _comparable(session, record)
    return standing(folder, identity, name=shared_name(session), old_name=key_of(session))


def claim(session: Session, folder: RunFolder) -> None:
    """Write the configuration: from now on the folder belongs to this run.

    Raises:
        RunError: another process has claimed the folder for another run meanwhile.
    """
    stands = stands_in(session, folder)
    is_new = not folder.config.is_file()
    session.config.save(folder.config, replace=False)  # never replaced: it is also the lock
    check_folder(session.config)
    shared = dense_folder(folder, stands.record.dense)
    session.config.save(shared.config, replace=False)
    if is_new:
        settle(folder, stands)


def begin(session: Session, folder: RunFolder, display: Display) -> None:
    """Let the run begin or go on in its folder, which this process holds."""
    stands = stands_in(session, folder)
    for message in stands.messages:
        display.message(message)
    settle(folder, stands)
    session.config.save(dense_folder(folder, stands.record.dense).config, replace=False)


def refuse_stale_result(session: Session, folder: RunFolder, display: Display) -> None:
    """Refuse to report a finished run of other code, weights or data than there are now.

    Data that cannot be read, or that only a download would bring, are not compared.
    """
    record = Record.read(folder)
    if record is None:
        return
    config = session.config
    refuse_stale(folder, identify(config, None))
    try:
        if locate(config.data, config.data_root).serves is None:
            raise RunError("they are not on this machine")
        identity = _comparable(session, record)
    except SpikePruneError as error:
        display.message(f"report     the data could not be compared with the run's: {error}")
        return
    refuse_stale(folder, identity)


def _comparable(session: Session, record: Record) -> Identity:
    """Return the identity without data that the user's function draws anew at every call."""
    identity = session.identity
    if not is_import_path(session.config.data) or identity.data is None:
        return identity
    data_alone = replace(record.identity, data=identity.data)
    if len(changes(data_alone, identity)) == len(changes(record.identity, identity)):
        return identity
    with unmoved():
        again = fingerprint(Session(session.config).data)
    return replace(identity, data=agreeing(identity.data, again))
