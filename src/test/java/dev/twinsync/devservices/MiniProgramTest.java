package dev.twinsync.devservices;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the other tests rest on: the sandbox notices what must never happen to it. */
class MiniProgramTest {

    private static final HttpClient HTTP = HttpClient.newHttpClient();

    private MiniProgram mini;

    @BeforeEach
    void start() throws Exception {
        mini = MiniProgram.start(0);
    }

    @AfterEach
    void stop() {
        mini.close();
    }

    private CompletableFuture<Integer> write(String key, String nickname, String path) {
        String item =
                "{\"user_id\":\"u\",\"idempotency_key\":\"" + key + "\",\"data\":{\"nickname\":\"" + nickname + "\"}}";
        return HTTP.sendAsync(
                        HttpRequest.newBuilder(URI.create(mini.url() + path))
                                .header("Authorization", "Bearer mini-api-key")
                                .header("Idempotency-Key", key)
                                .POST(HttpRequest.BodyPublishers.ofString(
                                        path.endsWith("batch") ? "{\"items\":[" + item + "]}" : item))
                                .build(),
                        HttpResponse.BodyHandlers.discarding())
                .thenApply(HttpResponse::statusCode);
    }

    private int write(String key, String nickname) {
        return write(key, nickname, "/sync_user_data").join();
    }

    @Test
    void aNewWriteIsNothingToNotice() {
        assertThat(write("user/u/1", "a")).isEqualTo(200);
        assertThat(write("user/u/2", "b")).isEqualTo(200);
        assertThat(new int[] {
                    mini.echoes(),
                    mini.backwards(),
                    mini.concurrent().size(),
                    mini.violations().size()
                })
                .containsOnly(0);
        assertThat(mini.read("user", "u").path("nickname").asText()).isEqualTo("b");
    }

    @Test
    void aWriteThatChangesNothingIsAnEcho() {
        mini.edit("user", "u", Map.of("nickname", "a"));
        write("user/u/1", "a");
        assertThat(mini.echoes()).isEqualTo(1);
    }

    @Test
    void aRepeatedKeyIsAnsweredFromTheJournalAndIsNoEcho() {
        write("user/u/1", "a");
        assertThat(write("user/u/1", "a")).isEqualTo(200);
        assertThat(mini.echoes()).isZero();
        assertThat(mini.violations()).isEmpty();
        // also where something newer was written in between: it stays
        write("user/u/2", "b");
        write("user/u/1", "a");
        assertThat(mini.read("user", "u").path("nickname").asText()).isEqualTo("b");
        assertThat(mini.backwards()).isZero();
        assertThat(mini.writes().stream().map(MiniProgram.Write::again)).containsExactly(false, true, false, true);
    }

    @Test
    void aWriteOfAnOlderVersionIsBackwards() {
        write("user/u/2", "b");
        write("user/u/1.3", "a");
        assertThat(mini.backwards()).isEqualTo(1);
    }

    @Test
    void aKeyWithAnotherBodyIsAViolationAndIsNotDone() {
        write("user/u/1", "a");
        assertThat(write("user/u/1", "b")).isEqualTo(422);
        assertThat(mini.violations()).hasSize(1);
        assertThat(mini.read("user", "u").path("nickname").asText()).isEqualTo("a");
    }

    @Test
    void whatIsAskedForOnceMoreMeanwhileIsNotConcurrent() {
        mini.hold();
        CompletableFuture<Integer> one = write("user/u/1", "a", "/sync_user_data/batch");
        await().until(() -> mini.underWay() == 1);
        CompletableFuture<Integer> again = write("user/u/1", "a", "/sync_user_data");
        await().until(() -> mini.requests() == 2);
        mini.letGo();
        assertThat(one.join()).isEqualTo(200);
        assertThat(again.join()).isEqualTo(200);
        assertThat(mini.concurrent()).isEmpty();
    }

    @Test
    void twoWritesOfOneKeyAtOnceAreConcurrentInABatchToo() {
        mini.hold();
        CompletableFuture<Integer> one = write("user/u/1", "a", "/sync_user_data/batch");
        await().until(() -> mini.underWay() == 1);
        CompletableFuture<Integer> other = write("user/u/2", "b", "/sync_user_data");
        await().until(() -> mini.concurrent().size() == 1);
        mini.letGo();
        assertThat(one.join()).isEqualTo(200);
        assertThat(other.join()).isEqualTo(200);
        assertThat(mini.underWay()).isZero();
        assertThat(mini.concurrent()).hasSize(1);
    }
}
