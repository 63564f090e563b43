package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.state.Topics;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** What befalls a rig under load, one at a time. Each fault is counted, and only when it has met something. */
final class Faults {

    /** More than a topic has from its beginning. */
    private static final int PARTITIONS = 9;

    private final Rig rig;
    private final Load load;
    private final Random random;
    final Tally tally;

    /** @param run what the table calls it */
    Faults(String run, Rig rig, Load load) {
        this.rig = rig;
        this.load = load;
        this.random = new Random(rig.seed + 100);
        this.tally = new Tally(run, rig.folder.resolve("schedule.log"));
    }

    /** Lets the load go on for so many changes. */
    void changes(int more) {
        int until = load.count() + more;
        await("the load goes on").atMost(Rig.LONGEST).until(() -> load.count() >= until);
    }

    static void passes(Duration time) {
        long since = System.nanoTime();
        await().atMost(time.plus(Rig.LONGEST))
                .pollInterval(Duration.ofMillis(20))
                .until(() -> System.nanoTime() - since >= time.toNanos());
    }

    /** A moment under load that the seed chooses. */
    private void moment() {
        changes(5 + random.nextInt(30));
        passes(Duration.ofMillis(random.nextInt(400)));
    }

    /** SIGKILL at a random moment, once there are deliveries: before that there is nothing to lose. */
    void killed(Instance instance) throws Exception {
        int writes = rig.mini.writes().size();
        await("deliveries").atMost(Rig.LONGEST).until(() -> rig.mini.writes().size() > writes);
        moment();
        boolean atWork = rig.due() > 0;
        rig.kill(instance);
        assertThat(instance.isAlive()).isFalse();
        tally.hit(atWork ? "killed at work" : "killed");
    }

    /** The same, and another instance takes its place. */
    Instance replaced(Instance instance) throws Exception {
        killed(instance);
        return rig.start();
    }

    /** SIGSTOP in the midst of a turn until its group has taken its partitions away, and some more; then it goes on as if nothing had been. */
    void frozen(Instance instance) throws Exception {
        int instances = rig.instances.size();
        assertThat(instances).isGreaterThan(1);
        rig.shared(instances);
        do {
            instance.thaw();
            moment();
            // a poll whose answer does not come holds the lock of its turn
            rig.toMini.fault(TcpProxy.Fault.NO_ANSWERS);
            passes(Duration.ofMillis(500));
            instance.freeze();
            rig.toMini.fault(TcpProxy.Fault.NONE);
            // one that is alive gives a sign of it more often
            passes(Rig.SESSION.dividedBy(2));
        } while (rig.turns(Rig.SESSION.dividedBy(2).minusMillis(300)) == 0);
        long since = System.nanoTime();
        // its group goes on without it, and so do its turns
        rig.shared(instances - 1);
        await("another takes its turns")
                .atMost(Rig.SESSION)
                .until(() -> rig.turns(Rig.SESSION.dividedBy(2).minusMillis(300)) == 0);
        tally.tell("its groups went on after "
                + Duration.ofNanos(System.nanoTime() - since).toMillis() + " ms");
        changes(60);
        instance.thaw();
        rig.shared(instances);
        tally.hit("frozen in mid-turn past its session");
    }

    /** It stops while writes are under way, whose answers there is no place for then. */
    void databaseRestarted() throws Exception {
        moment();
        var began = rig.app.queryForObject("select pg_postmaster_start_time()::text", String.class);
        rig.mini.hold();
        await("writes under way").atMost(Rig.LONGEST).until(() -> rig.mini.underWay() > 0);
        rig.postgres.stopAtOnce();
        rig.mini.letGo();
        passes(Duration.ofMillis(500 + random.nextInt(2000)));
        rig.postgres.startAgain();
        assertThat(rig.app.queryForObject("select pg_postmaster_start_time()::text", String.class))
                .isNotEqualTo(began);
        assertThat(rig.app.queryForObject("show fsync", String.class)).isEqualTo("on");
        tally.hit("database stopped at once");
        changes(40);
    }

    /** SIGSTOP of all the database's processes while it is asked for something. */
    void databaseFrozen(Duration time) throws Exception {
        moment();
        rig.postgres.freeze();
        passes(time);
        rig.postgres.thaw();
        tally.hit("database frozen");
        changes(20);
    }

    /** SIGSTOP for longer than it lets its groups' members be silent. */
    void brokerFrozen(Duration time) throws Exception {
        moment();
        rig.freezeBroker();
        passes(time);
        rig.thawBroker();
        tally.hit("broker frozen");
        changes(20);
    }

    void brokerRestarted() throws Exception {
        moment();
        rig.killBroker();
        passes(Duration.ofMillis(1000 + random.nextInt(3000)));
        rig.startBroker();
        tally.hit("broker killed");
        changes(20);
    }

    /** Does for a broker that serves some groups no more what its operators would do. */
    void brokerIsMended() throws Exception {
        if (rig.brokerIsLost()) {
            rig.killBroker();
            rig.startBroker();
            tally.hit("broker started once more, since it had lost its groups");
        }
    }

    /** A fault of the network before one of the neighbours. */
    void network(String name, TcpProxy proxy, TcpProxy.Fault fault, Duration time) {
        network(name, proxy, fault, time, fault.name().toLowerCase(java.util.Locale.ROOT));
    }

    private void network(String name, TcpProxy proxy, TcpProxy.Fault fault, Duration time, String told) {
        moment();
        int before = proxy.hit();
        proxy.fault(fault);
        passes(time);
        proxy.fault(TcpProxy.Fault.NONE);
        assertThat(proxy.hit()).as(fault + " before the " + name).isGreaterThan(before);
        tally.hit(name + ' ' + told);
        changes(10);
    }

    /** It takes what it is told and answers nothing, for so long. */
    void silent(String name, TcpProxy proxy, Duration time) {
        network(name, proxy, TcpProxy.Fault.BLACKHOLE, time, "silent for " + time.toSeconds() + " s");
    }

    void reset(String name, TcpProxy proxy) {
        moment();
        int before = proxy.hit();
        await("connections to the " + name).atMost(Rig.LONGEST).until(() -> {
            proxy.reset();
            return proxy.hit() > before;
        });
        tally.hit(name + " reset");
        changes(10);
    }

    void halfClosed(String name, TcpProxy proxy) {
        moment();
        int before = proxy.hit();
        await("connections to the " + name).atMost(Rig.LONGEST).until(() -> {
            proxy.halfClose();
            return proxy.hit() > before;
        });
        tally.hit(name + " half closed");
        changes(10);
    }

    /** Every call is answered so for a while: nothing but lag comes of it. */
    void miniAnswers(int status, Duration time) throws Exception {
        // those that were killed have lost their membership
        rig.shared(rig.instances.size());
        moment();
        Set<String> members = rig.members("deliver-mini-user");
        int failed = rig.mini.failed();
        int requests = rig.mini.requests();
        rig.mini.always(status);
        passes(time);
        // whoever still waits after an earlier fault calls later
        await("a call that meets it").atMost(Rig.LONGEST).until(() -> rig.mini.failed() > failed);
        rig.mini.always(null);
        assertThat(rig.mini.requests() - requests)
                .as("calls in %s of %d: no hot loop", time, status)
                .isLessThan(60 + (int) time.toSeconds() * 12);
        assertThat(rig.members("deliver-mini-user"))
                .as("nobody had to join anew")
                .isEqualTo(members);
        tally.hit("mini " + status + " for " + time.toSeconds() + " s");
        changes(10);
    }

    /** The next writes fail, each in its way. */
    void miniFails(Object... ways) {
        moment();
        int failed = rig.mini.failed();
        rig.mini.next(ways);
        await("all of them were met").atMost(Rig.LONGEST).until(() -> rig.mini.failed() >= failed + ways.length);
        for (Object way : ways) {
            tally.hit("mini "
                    + (way instanceof MiniProgram.Fault fault
                            ? fault.name().toLowerCase(java.util.Locale.ROOT).replace('_', ' ')
                            : way.toString()));
        }
    }

    /** A record is refused while the broker is gone: its letter is there once the broker is, once. */
    void letterWhileTheBrokerIsGone(String order) throws Exception {
        rig.mini.refuse("order", order, 422);
        rig.mini.hold();
        rig.app.update(
                "insert into orders (order_id, user_id, status, payment_amount) values (?, 'u', 'paid', 1)", order);
        await("its write is under way").atMost(Rig.LONGEST).until(() -> rig.mini.isUnderWay("order", order));
        rig.killBroker();
        rig.mini.letGo();
        passes(Duration.ofSeconds(3));
        assertThat(rig.letters()).isEmpty();
        rig.startBroker();
        tally.hit("broker gone while a letter was written");
        await("its letter").atMost(Rig.LONGEST).until(() -> rig.letters().size() == 1);
        assertThat(rig.letters().get(0)).contains(order, " open ", "422");
    }

    /** An entity's topics get more partitions, so that its records go to others than before. */
    void partitionsAdded() throws Exception {
        try (Admin kafka = rig.kafka()) {
            kafka.createPartitions(Map.of(
                            Topics.observed("user"), NewPartitions.increaseTo(PARTITIONS),
                            Topics.changed("user"), NewPartitions.increaseTo(PARTITIONS)))
                    .all()
                    .get();
        }
        tally.hit("partitions added");
    }

    /** An instance of a later version takes the place of one of this version, once both have worked for a while. */
    Instance succeeded(Instance old) throws Exception {
        Instance later = rig.start(LaterVersion.SETTING);
        rig.shared(rig.instances.size());
        changes(100);
        assertThat(rig.end(old)).as(old.name + " ends when asked to").isTrue();
        tally.hit("followed by a later version");
        return later;
    }

    /** Instances of two versions have published beside each other, and so read each other's. */
    void versionsWereMixed() {
        for (String topic : List.of(Topics.observed("user"), Topics.changed("order"))) {
            int mixed = rig.mixed(topic);
            tally.tell(topic + " holds " + mixed + " messages of each version beside the other's");
            assertThat(mixed).as("messages of each version in " + topic).isGreaterThan(10);
        }
    }

    /** Everything on all topics comes again, to an instance of this version, and changes nothing. Ends all that run. */
    void replayed() throws Exception {
        String run = "replay of all topics, after " + tally.run;
        Tally.begins(run);
        for (Instance instance : rig.instances) {
            assertThat(rig.end(instance))
                    .as(instance.name + " ends when asked to")
                    .isTrue();
        }
        String golden = rig.golden();
        String rows = rig.rows();
        int writes = rig.mini.writes().size();
        int again = 0;
        try (Admin kafka = rig.kafka()) {
            for (String entity : List.of("user", "order")) {
                for (String group : List.of("merge-", "deliver-app-", "deliver-mini-")) {
                    Map<TopicPartition, OffsetAndMetadata> zero = new HashMap<>();
                    for (var at : kafka.listConsumerGroupOffsets(group + entity)
                            .partitionsToOffsetAndMetadata()
                            .get()
                            .entrySet()) {
                        again += (int) at.getValue().offset();
                        zero.put(at.getKey(), new OffsetAndMetadata(0));
                    }
                    kafka.alterConsumerGroupOffsets(group + entity, zero).all().get();
                }
            }
        }
        assertThat(again).isGreaterThan(1000);
        rig.start();
        rig.becomesEqual();
        assertThat(rig.golden()).isEqualTo(golden);
        assertThat(rig.rows()).as("the app's rows, and who wrote them last").isEqualTo(rows);
        assertThat(rig.mini.writes()).hasSize(writes);
        Tally.line(run, again + " records once more", again, 0, 0);
    }
}
