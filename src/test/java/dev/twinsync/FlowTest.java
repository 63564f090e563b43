package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.capture.Clocks;
import dev.twinsync.delivery.MiniProgram;
import dev.twinsync.flow.CallFailed;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.flow.FailurePolicy.Kind;
import dev.twinsync.proof.Anomaly;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.camel.CamelContext;
import org.apache.camel.Exchange;
import org.apache.camel.ProducerTemplate;
import org.apache.camel.builder.AdviceWith;
import org.apache.camel.test.spring.junit5.CamelSpringBootTest;
import org.apache.camel.test.spring.junit5.UseAdviceWith;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;

/** Single flows of the real folder, with what they reach replaced: what they make of answers and of failures. */
@CamelSpringBootTest
@UseAdviceWith
@SpringBootTest(
        classes = FlowTest.Parts.class,
        webEnvironment = SpringBootTest.WebEnvironment.NONE,
        properties = {
            "KAFKA_BROKERS=nowhere:1",
            "twinsync.mini.url=http://mini.invalid",
            "twinsync.mini.api-key=key",
            "twinsync.mini.signing-secret=whsec_dHdpbnN5bmMgc2lnbnMgdGhpcw==",
            "camel.main.routes-include-pattern=file:routes/shared/error-policy.camel.yaml,"
                    + "file:routes/shared/dead-letter.camel.yaml,file:routes/shared/call-mini-program.camel.yaml,"
                    + "file:routes/users/merge-users.camel.yaml"
        })
class FlowTest {

    @Configuration
    @EnableAutoConfiguration
    @Import({Beans.class, MiniProgram.class, Clocks.class})
    static class Parts {
        @Bean("merge")
        BrokenMerge merge() {
            return new BrokenMerge();
        }

        @Bean("commits")
        CountedCommits commits() {
            return new CountedCommits();
        }

        @Bean("deadLetters")
        KeptLetters deadLetters() {
            return new KeptLetters();
        }
    }

    /** A step with a bug, which has already changed the message when it meets it. */
    public static class BrokenMerge {
        public void merge(String entity, Exchange exchange) {
            exchange.getMessage().setBody("half done");
            throw new IllegalArgumentException("a bug");
        }
    }

    public static class CountedCommits {
        private int commits;

        public void commit(Exchange exchange) {
            commits++;
        }
    }

    public static class KeptLetters {
        private Object kept;
        private boolean away;

        public void keep(Exchange exchange) {
            if (away) {
                throw new IllegalStateException("Kafka is away");
            }
            kept = exchange.getMessage().getBody();
        }
    }

    @Autowired
    private CamelContext camel;

    @Autowired
    private ProducerTemplate template;

    @Autowired
    private CountedCommits commits;

    @Autowired
    private KeptLetters letters;

    private static Exchange asked;
    private static int status;
    private static String answer;

    @BeforeEach
    void start() throws Exception {
        if (!camel.isStarted()) {
            AdviceWith.adviceWith(camel, "merge-users", flow -> flow.replaceFromWith("direct:user-observed"));
            AdviceWith.adviceWith(
                    camel, "call-mini-program", flow -> flow.weaveById("call-mini-program.to-mini-program")
                            .replace()
                            .process(exchange -> {
                                asked = exchange.copy();
                                exchange.getMessage().removeHeaders("*");
                                exchange.getMessage().setHeader(Exchange.HTTP_RESPONSE_CODE, status);
                                exchange.getMessage().setHeader("Retry-After", "7");
                                exchange.getMessage().setBody(answer.getBytes(StandardCharsets.UTF_8));
                            }));
            camel.start();
        }
        commits.commits = 0;
        letters.kept = null;
        letters.away = false;
    }

    @Test
    void whatAStepCantWorkIsKeptAsItCame() {
        List<String> batch = List.of("as it came");
        Exchange exchange =
                template.send("direct:user-observed", e -> e.getMessage().setBody(batch));
        assertThat(exchange.getException()).isNull();
        assertThat(letters.kept).isEqualTo(batch);
    }

    @Test
    @Anomaly(Anomaly.Of.A10)
    void whereEvenTheLetterCantBeKeptTheMessageFailsAndItsOffsetStays() {
        letters.away = true;
        Exchange exchange =
                template.send("direct:user-observed", e -> e.getMessage().setBody(List.of("as it came")));
        assertThat(exchange.getException()).hasMessageContaining("Kafka is away");
        assertThat(commits.commits).isZero();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "503 | {\"code\":503}                                  | TRANSIENT",
                "429 | {\"code\":429}                                  | TRANSIENT",
                "200 | <html>Bad gateway</html>                        | TRANSIENT",
                "200 | {\"results\":[{\"id\":                          | TRANSIENT",
                "200 | [1]                                             | TRANSIENT",
                "502 | <html>                                          | TRANSIENT",
                "302 | moved                                           | TRANSIENT",
                "401 | {\"code\":401,\"message\":\"bad or expired key\"} | EVERYONES",
                "403 | <html>                                          | EVERYONES",
                "404 | <html>                                          | EVERYONES",
                "400 | {\"code\":400,\"message\":\"malformed\"}        | PERMANENT",
                "422 | {\"code\":422,\"field\":\"status\"}             | PERMANENT"
            })
    void everyAnswerThatIsNoSuccessIsAFailureOfAKind(int code, String body, Kind kind) {
        CallFailed failed = (CallFailed) catchThrowable(() -> call(code, body)).getCause();
        FailurePolicy policy = camel.getRegistry().lookupByNameAndType("failurePolicy", FailurePolicy.class);
        assertThat(policy.kind(failed)).isEqualTo(kind);
        assertThat(failed.status()).isEqualTo(code == 200 ? 0 : code);
        assertThat(failed.getMessage()).doesNotContain("<html>");
        if (code == 422) {
            assertThat(failed.field()).isEqualTo("status");
        }
        if (code == 429) {
            assertThat(failed.retryAfter()).isEqualTo(Duration.ofSeconds(7));
        }
    }

    @Test
    void aSuccessIsItsJsonWithItsDigits() {
        JsonNode json = call(200, "{\"code\":0,\"amount\":199.90}");
        assertThat(json.path("amount").decimalValue().toPlainString()).isEqualTo("199.90");
    }

    @Test
    void aRecordThatIsNotThereIsNothingAndNoFailure() {
        status = 404;
        answer = "{\"code\":404,\"message\":\"unknown user\"}";
        assertThat(template.requestBodyAndHeader(
                        "direct:call-mini-program", null, "mini_path", "/users/a b", JsonNode.class))
                .isNull();
        assertThat(asked.getMessage().getHeader(Exchange.HTTP_PATH)).isEqualTo("/users/a%20b");
        assertThat(asked.getMessage().getHeader(Exchange.HTTP_METHOD)).isEqualTo("GET");
    }

    @Test
    void nothingOfTheMessageReachesTheMiniProgramButWhatItsContractNames() {
        call(200, "{\"code\":0}");
        assertThat(asked.getMessage().getHeaders().keySet())
                .containsExactlyInAnyOrder(
                        Exchange.HTTP_PATH,
                        Exchange.HTTP_METHOD,
                        Exchange.CONTENT_TYPE,
                        "Authorization",
                        "Accept",
                        "Idempotency-Key",
                        "If-Match",
                        "webhook-id",
                        "webhook-timestamp",
                        "webhook-signature");
        assertThat(asked.getMessage().getHeader("If-Match")).isEqualTo("\"2026-01-01\"");
    }

    private JsonNode call(int code, String body) {
        status = code;
        answer = body;
        return template.requestBodyAndHeaders(
                "direct:call-mini-program",
                "{}".getBytes(StandardCharsets.UTF_8),
                Map.of(
                        "mini_path",
                        "/sync_user_data",
                        "idempotency_key",
                        "user/1/1",
                        "if_match",
                        "2026-01-01",
                        "X-Of-The-Message",
                        "1",
                        Exchange.HTTP_URI,
                        "http://elsewhere.invalid"),
                JsonNode.class);
    }
}
