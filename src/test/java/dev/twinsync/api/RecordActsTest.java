package dev.twinsync.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.record.Json;
import java.net.http.HttpResponse;
import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** What the buttons of a record's page do, as calls. */
class RecordActsTest {

    private static final String PHONE = "+8613700137001";
    private static int number;

    private final Neighbours neighbours = Neighbours.get();
    private final Caller caller = new Caller(neighbours.service());
    private final JdbcTemplate app =
            new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));
    private String id;

    @BeforeEach
    void aUser() {
        id = "acts-" + ++number;
        app.update("insert into users (user_id, nickname, phone) values (?, '甲', ?)", id, PHONE);
        await().atMost(Duration.ofSeconds(30)).until(() -> neighbours.mini.read("user", id) != null);
    }

    @Test
    void aLookAtBothEndsIsAtWhatTheyHoldAndNotAtWhatIsKnown() throws Exception {
        HttpResponse<String> answer = caller.get("ops-key", "/users/" + id + "/live");
        assertThat(answer.statusCode()).isEqualTo(200);
        assertThat(answer.body()).contains("+86137****7001").doesNotContain(PHONE);
        JsonNode systems = Json.read(answer.body()).path("systems");
        for (String system : new String[] {"app", "mini"}) {
            assertThat(systems.path(system).path("exists").asBoolean()).isTrue();
            assertThat(systems.path(system).path("data").path("nickname").asText())
                    .isEqualTo("甲");
            assertThat(systems.path(system).path("differs")).isEmpty();
            assertThat(systems.path(system).path("trouble").isNull()).isTrue();
        }
        neighbours.mini.always(503);
        try {
            JsonNode away = Json.read(
                            caller.get("ops-key", "/users/" + id + "/live").body())
                    .path("systems");
            assertThat(away.path("mini").path("trouble").asText()).contains("503");
            assertThat(away.path("mini").path("data").isNull()).isTrue();
            assertThat(away.path("app").path("data").path("nickname").asText()).isEqualTo("甲");
        } finally {
            neighbours.mini.always(null);
        }
        assertThat(caller.get("ops-key", "/users/acts-nobody/live").statusCode())
                .isEqualTo(404);
        assertThat(caller.get("app-key", "/users/" + id + "/live").statusCode()).isEqualTo(403);
    }

    @Test
    void personalFieldsAreToldForAReasonThatIsKept() throws Exception {
        assertThat(caller.get("ops-key", "/users/" + id).body()).doesNotContain(PHONE);
        HttpResponse<String> silent = caller.post("ops-key", "/users/" + id + "/reveal", "{\"reason\":\" \"}");
        assertThat(silent.statusCode()).isEqualTo(422);
        assertThat(silent.body()).contains("/reason").doesNotContain(PHONE);
        HttpResponse<String> told =
                caller.post("ops-key", "/users/" + id + "/reveal", "{\"reason\":\"" + id + " asked, 13700137001\"}");
        assertThat(told.statusCode()).isEqualTo(200);
        assertThat(Json.read(told.body()).path("data").path("phone").asText()).isEqualTo(PHONE);
        String audit =
                caller.get("ops-key", "/audit?act=record.reveal&target=" + id).body();
        assertThat(audit)
                .contains("\"ops\"", id + " asked, 137****7001", "\"done\"")
                .doesNotContain("13700137001");
        assertThat(caller.post("ops-key", "/users/acts-nobody/reveal", "{\"reason\":\"x\"}")
                        .statusCode())
                .isEqualTo(404);
        assertThat(caller.post("app-key", "/users/" + id + "/reveal", "{\"reason\":\"x\"}")
                        .statusCode())
                .isEqualTo(403);
    }

    @Test
    void aRecordIsReadAgainAndWhatIsFoundIsMerged() throws Exception {
        // changed without a word of when: no poll sees it
        app.update("update users set nickname = '乙' where user_id = ?", id);
        assertThat(caller.post("ops-key", "/users/" + id + "/read", "{}").statusCode())
                .isEqualTo(202);
        await().atMost(Duration.ofSeconds(30)).until(() -> neighbours
                .mini
                .read("user", id)
                .path("nickname")
                .asText()
                .equals("乙"));
        assertThat(caller.post("ops-key", "/users/acts-nobody/read", "{}").statusCode())
                .isEqualTo(404);
        assertThat(caller.get("mini-key", "/audit").statusCode()).isEqualTo(403);
    }
}
