package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.deadletter.DeadLetters;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.merge.Merge;
import dev.twinsync.record.Json;
import dev.twinsync.state.Observations;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.apache.camel.CamelContext;
import org.apache.camel.support.PluginHelper;
import org.apache.camel.support.ResourceHelper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.context.ApplicationContext;

/** The self-test as it runs in production: what it plants is found, and it leaves nothing behind but deleted records. */
class SelfTestTest {

    private final Shop shop = new Shop(SelfTest.PREFIX);

    private long begin(String entity) {
        JsonNode begun = shop.post("/verifications", "{\"entity\":\"" + entity + "\",\"self_test\":true}");
        assertThat(begun.has("run")).as(begun.toString()).isTrue();
        return begun.path("run").asLong();
    }

    private void nothingIsLeft(String entity, String table) {
        await().atMost(Duration.ofSeconds(60)).untilAsserted(() -> {
            assertThat(shop.app.queryForObject("select count(*) from sync.shadow where entity = ?", Long.class, entity))
                    .isZero();
            assertThat(shop.app.queryForObject(
                            "select count(*) from " + table + " where " + entity
                                    + "_id like 'twinsync-self-test-%' and not deleted",
                            Long.class))
                    .isZero();
            assertThat(shop.mini.all(entity).entrySet().stream()
                            .filter(record -> record.getKey().startsWith(SelfTest.PREFIX))
                            .filter(record -> !record.getValue().path("deleted").asBoolean()))
                    .isEmpty();
            assertThat(shop.app.queryForObject(
                            "select count(*) from sync.base where id like 'twinsync-self-test-%' and (doubt or tick_ended = ?)",
                            Long.class, SelfTest.FROZEN))
                    .isZero();
        });
        shop.settled(entity);
    }

    @Test
    void everyErrorThatIsPlantedAtBothEndsIsFoundAndNothingIsLeft() {
        for (int round = 0; round < 2; round++) {
            long run = begin("order");
            assertThat(shop.post("/verifications", "{\"entity\":\"order\",\"self_test\":true}")
                            .path("status")
                            .asInt())
                    .isEqualTo(409);
            JsonNode told = shop.ended(run, "done").path("told");
            assertThat(told.path("missed").asText()).isEmpty();
            assertThat(told.path("planted").asInt())
                    .isEqualTo(told.path("found").asInt())
                    .isGreaterThan(30);
            assertThat(shop.differences(run)).isEmpty();
            nothingIsLeft("order", "orders");
        }
    }

    @Test
    void aDigestThatLeavesAFieldOutIsNamed(@TempDir Path broken) throws Exception {
        String sql = Files.readString(Path.of("routes/users/read-app-users.sql"));
        // it still tells the time, as digests of whole rows do
        String blind = sql.replace("md5(users::text)", "md5((to_jsonb(users) - 'nickname')::text)");
        assertThat(blind).isNotEqualTo(sql);
        Files.createDirectories(broken.resolve("users"));
        Files.writeString(broken.resolve("users/read-app-users.sql"), blind);
        long run;
        usersAreReadFrom(broken);
        try {
            run = begin("user");
            JsonNode told = shop.ended(run, "done").path("told");
            assertThat(told.path("missed").asText()).isEqualTo("nickname at app");
            assertThat(told.path("found").asInt())
                    .isEqualTo(told.path("planted").asInt() - 1);
        } finally {
            usersAreReadFrom(Path.of("routes"));
        }
        nothingIsLeft("user", "users");
        run = begin("user");
        assertThat(shop.ended(run, "done").path("told").path("missed").asText()).isEmpty();
        nothingIsLeft("user", "users");
    }

    /** Puts the flows that read and digest the app's users anew, with the SQL of a folder. */
    private static void usersAreReadFrom(Path folder) throws Exception {
        CamelContext camel = Neighbours.get().service().getBean(CamelContext.class);
        for (String flow : List.of("read-app-users", "digest-app-users")) {
            String yaml = Files.readString(Path.of("routes/users", flow + ".camel.yaml"))
                    .replace("{{twinsync.routes-dir}}", folder.toString());
            PluginHelper.getRoutesLoader(camel).updateRoutes(ResourceHelper.fromString(flow + ".camel.yaml", yaml));
        }
    }

    private long frozen() {
        long run = begin("user");
        await().atMost(Duration.ofSeconds(90)).until(() -> shop.app
                .queryForList("select run from sync.shadow where entity = 'user' and step = 'to'", Long.class)
                .contains(run));
        return run;
    }

    @Test
    void oneThatIsStoppedIsClearedAway() {
        long stopped = frozen();
        shop.post("/verifications/" + stopped + "/cancel", "");
        // several instances come by at once, one of them perhaps while the run's last turn is still under way
        Verifications verifications = Neighbours.get().service().getBean(Verifications.class);
        await().atMost(Duration.ofSeconds(60)).untilAsserted(() -> {
            CompletableFuture.allOf(Stream.generate(() -> CompletableFuture.runAsync(verifications::run))
                            .limit(4)
                            .toArray(CompletableFuture[]::new))
                    .get();
            assertThat(shop.app.queryForObject("select count(*) from sync.shadow where entity = 'user'", Long.class))
                    .isZero();
        });
        nothingIsLeft("user", "users");
        assertThat(List.of("stopped", "done"))
                .contains(shop.get("/verifications/" + stopped).path("state").asText());
    }

    @Test
    void whatComesOnceMoreWhileTheMemoryIsFrozenStaysNotDue() {
        String id = SelfTest.PREFIX + "deleted";
        long run = frozen();
        shop.post("/verifications/" + run + "/pause", "");
        long version = version(id);
        // as Kafka gives the last step's pushes again where their offsets were not committed
        ApplicationContext service = Neighbours.get().service();
        service.getBean(Observations.class)
                .publish(List.of(Observations.push(
                        "user",
                        id,
                        Merge.OPERATOR,
                        Json.MAPPER.createObjectNode().put("deleted", true),
                        null,
                        null,
                        UUID.randomUUID().toString())));
        await().atMost(Duration.ofSeconds(60)).until(() -> version(id) > version);
        shop.post("/verifications/" + run + "/cancel", "");
        await().atMost(Duration.ofSeconds(60)).until(() -> shop.app
                .queryForList("select run from sync.shadow where entity = 'user'", Long.class)
                .isEmpty());
        // as the sweep does after a minute
        List<String> due = shop.app.queryForList("select system from sync.due where id = ?", String.class, id);
        due.forEach(system -> service.getBean(DeadLetters.class).publishDue("user", system, List.of(id)));
        nothingIsLeft("user", "users");
    }

    private long version(String id) {
        return shop.app.queryForObject(
                "select version from sync.golden where entity = 'user' and id = ?", Long.class, id);
    }
}
