package dev.twinsync.console;

import static com.microsoft.playwright.assertions.PlaywrightAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.microsoft.playwright.Browser;
import com.microsoft.playwright.Locator;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.Response;
import com.microsoft.playwright.options.FormData;
import com.microsoft.playwright.options.RequestOptions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Each page of the console, by what a person would do there. */
class PagesTest extends Browsing {

    private static final String PHONE = "+8613912345678";

    private void user(String id, String nickname) {
        app.update(
                "insert into users (user_id, nickname, phone) values (?, ?, ?) on conflict (user_id) do nothing",
                id,
                nickname,
                PHONE);
        soon(() -> assertThat(mini.read("user", id)).isNotNull());
    }

    private static void soon(org.awaitility.core.ThrowingRunnable assertion) {
        await().atMost(Duration.ofSeconds(30))
                .pollInterval(Duration.ofMillis(50))
                .untilAsserted(assertion);
    }

    @Test
    void aRecordShowsBothEndsAndHowItCameToBeSo() {
        user("page-1", "甲");
        app.update("update users set nickname = '乙', updated_at = clock_timestamp() where user_id = 'page-1'");
        soon(() -> assertThat(mini.read("user", "page-1").path("nickname").asText())
                .isEqualTo("乙"));
        Page page = as("viewer");
        page.navigate(home + "/console");
        page.locator("#q").fill("page-1");
        page.keyboard().press("Enter");
        assertThat(page).hasURL(Pattern.compile(".*/console/users/page-1"));
        assertThat(page.locator("h1")).containsText("page-1");
        assertThat(page.locator("table.compare tr:has(th:text('nickname')) td")).hasText(new Pattern[] {
            Pattern.compile("乙.*App.*", Pattern.DOTALL), Pattern.compile("\\s*乙\\s*"), Pattern.compile("\\s*乙\\s*")
        });
        assertThat(page.locator(".timeline li")
                        .filter(new com.microsoft.playwright.Locator.FilterOptions()
                                .setHasText("the later change wins")))
                .not()
                .hasCount(0);
        assertThat(page.content()).contains("+86139****5678").doesNotContain(PHONE);
        assertThat(page.locator("text=Show personal fields")).hasCount(0);
        page.locator("text=Look at both ends now").click();
        assertThat(page.locator("th.now")).hasCount(2);
        assertThat(page.locator("th.now .chip.good")).hasCount(2);
        assertThat(page.content()).doesNotContain(PHONE);
    }

    @Test
    void personalFieldsAreShownOnceForAReasonThatIsKept() {
        user("page-2", "丁");
        Page page = as("operator");
        page.navigate(home + "/console/users/page-2");
        page.locator("summary:has-text('Show personal fields')").click();
        page.locator("#reveal-reason").fill("the customer asked on the telephone");
        page.locator("text=Show them once").click();
        assertThat(page.locator("table.compare")).containsText(PHONE);
        page.navigate(home + "/console/users/page-2");
        assertThat(page.content()).doesNotContain(PHONE);
        page.navigate(home + "/console/audit?target=page-2");
        assertThat(page.locator("tbody tr").first()).containsText("looked at personal fields");
        assertThat(page.locator("tbody tr").first()).containsText("the customer asked on the telephone");
        assertThat(page.content()).doesNotContain(PHONE);
    }

    @Test
    void aLosingValueIsRestored() {
        user("page-3", "戊");
        // both change the unionid, which is the app's
        app.update("update users set unionid = 'app-page-3', updated_at = clock_timestamp() where user_id = 'page-3'");
        mini.edit("user", "page-3", Map.of("unionid", "mini-page-3"));
        soon(() ->
                assertThat(mini.read("user", "page-3").path("unionid").asText()).isEqualTo("app-page-3"));
        app.update("update users set unionid = 'app-page-3b', updated_at = clock_timestamp() where user_id = 'page-3'");
        mini.edit("user", "page-3", Map.of("unionid", "mini-page-3b"));
        Page page = as("operator");
        soon(() -> {
            page.navigate(home + "/console/conflicts?id=page-3");
            assertThat(page.locator("tbody tr").count()).isPositive();
        });
        page.locator("tbody tr summary").first().click();
        page.locator("tbody tr [name=reason]").first().fill("the app was wrong");
        page.locator("tbody tr form button").first().click();
        assertThat(page.locator(".flash")).isVisible();
    }

    @Test
    void aFlowIsPausedWithAReasonAndStartedAgain() {
        user("page-4", "己");
        Page page = as("operator");
        page.navigate(home + "/console/flows");
        assertThat(page.locator("svg.diagram a")).not().hasCount(0);
        assertThat(page.locator("#poll-app-users")).containsText("users/poll-app-users.camel.yaml:");
        assertThat(page.locator("#read-app-users details")).hasCount(0);
        try {
            act(page, "deliver-mini-users", "Pause", "the mini-program is being moved");
            assertThat(page.locator("#deliver-mini-users .chip")).hasText("paused");
            assertThat(page.locator("#deliver-mini-users")).containsText("the mini-program is being moved");
            app.update("update users set nickname = '庚', updated_at = clock_timestamp() where user_id = 'page-4'");
            soon(() -> {
                page.navigate(home + "/console/users/page-4");
                assertThat(page.locator("td.due mark").allTextContents()).contains("己");
            });
            page.navigate(home + "/console");
            assertThat(page.locator(".troubles")).containsText("deliver-mini-users was paused by operator");
            assertThat(mini.read("user", "page-4").path("nickname").asText()).isEqualTo("己");
        } finally {
            page.navigate(home + "/console/flows");
            act(page, "deliver-mini-users", "Start", "it is where it should be");
        }
        assertThat(page.locator("#deliver-mini-users .chip")).hasText("running");
        soon(() -> assertThat(mini.read("user", "page-4").path("nickname").asText())
                .isEqualTo("庚"));
    }

    @Test
    void theWayOfAChangeFitsATelephone() {
        Page page =
                as("viewer", new Browser.NewContextOptions().setLocale("en-GB").setViewportSize(390, 844));
        page.navigate(home + "/console/flows");
        assertThat(page.locator("svg.diagram")).isHidden();
        assertThat(page.locator(".way").first().locator(".stop")).hasCount(7);
        Object beyond = page.evaluate("""
                [...document.querySelectorAll('.picture, .way, .way *')]
                  .filter(part => part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display != 'inline')
                  .map(part => part.outerHTML.slice(0, 80))""");
        assertThat((List<?>) beyond).isEmpty();
        page.locator(".way a[href='/console/flows#deliver-mini-orders']").click();
        assertThat(page).hasURL(Pattern.compile(".*#deliver-mini-orders"));
        page.setViewportSize(1280, 800);
        assertThat(page.locator("svg.diagram")).isVisible();
        assertThat(page.locator(".ways")).isHidden();
    }

    private static void act(Page page, String flow, String act, String reason) {
        var row = page.locator("#" + flow);
        row.locator("summary:text-is('" + act + "')").click();
        row.locator("details[open] [name=reason]").fill(reason);
        row.locator("details[open] button").click();
    }

    @Test
    void aMassDeletionIsHeldBackUntilSomebodyLetsItThroughForAReason() {
        app.update("insert into users (user_id, nickname) select 'page-gone-' || n, '众' from generate_series(1, 60) n");
        soon(() -> assertThat(gone(false)).isEqualTo(60));
        app.update("delete from users where user_id like 'page-gone-%'");
        Page page = as("operator");
        Locator held = page.locator(".troubles li.bad").filter(new Locator.FilterOptions().setHasText("mass deletion"));
        soon(() -> {
            page.navigate(home + "/console");
            assertThat(held.count()).isEqualTo(1);
        });
        assertThat(gone(false)).isEqualTo(60);
        held.locator("summary").click();
        held.locator("[name=reason]").fill("the test users may go");
        held.locator("form button").click();
        assertThat(page.locator(".flash")).isVisible();
        soon(() -> assertThat(gone(true)).isEqualTo(60));
        page.navigate(home + "/console/audit?act=sweep.release");
        assertThat(page.locator("tbody tr").first()).containsText("the test users may go");
    }

    private long gone(boolean deleted) {
        return mini.all("user").entrySet().stream()
                .filter(user -> user.getKey().startsWith("page-gone-")
                        && user.getValue().path("deleted").asBoolean() == deleted)
                .count();
    }

    @Test
    void howChangesAreLearnedIsSwitchedByAnAdminForAReason() {
        Page operator = as("operator");
        operator.navigate(home + "/console/flows");
        assertThat(operator.locator("#capture + .scroll tbody tr")).hasCount(2);
        assertThat(operator.locator("#capture + .scroll details")).hasCount(0);
        String token = operator.locator(".person input[name=_csrf]").getAttribute("value");
        FormData asked =
                FormData.create().set("_csrf", token).set("scheme", "none").set("reason", "I may not");
        assertThat(operator.request()
                        .post(
                                home + "/console/capture/mini",
                                RequestOptions.create().setForm(asked))
                        .status())
                .isEqualTo(403);
        Page page = as("admin");
        page.navigate(home + "/console/flows");
        Locator mini = page.locator("#capture + .scroll tbody tr")
                .filter(new Locator.FilterOptions().setHasText("Mini-program"));
        try {
            capture(mini, "none", "their API is being rebuilt");
            assertThat(page.locator(".flash")).containsText("Mini-program");
            assertThat(mini).containsText("admin");
            soon(() -> {
                page.reload();
                assertThat(page.locator("#poll-mini-users .chip").textContent()).isEqualTo("not in use");
            });
        } finally {
            capture(mini, "", "it is there again");
        }
        soon(() -> {
            page.reload();
            assertThat(page.locator("#poll-mini-users .chip").textContent()).isEqualTo("running");
        });
        // nobody writes the topics of a feed here
        Locator app = page.locator("#capture + .scroll tbody tr").first();
        capture(app, "feed", "they have Debezium now");
        assertThat(page.locator(".flash.bad")).containsText("app.public.users");
        assertThat(app.locator("b")).hasText("poll");
        page.navigate(home + "/console/audit?kind=system");
        Locator entries = page.locator("tbody tr");
        assertThat(entries.nth(0)).containsText("they have Debezium now");
        assertThat(entries.nth(0)).containsText("refused");
        assertThat(entries.nth(2)).containsText("their API is being rebuilt");
        assertThat(entries.nth(2)).containsText("switched how changes are learned");
    }

    private static void capture(Locator row, String scheme, String reason) {
        row.locator("summary").click();
        row.locator("select").selectOption(scheme);
        row.locator("[name=reason]").fill(reason);
        row.locator("form button").click();
    }

    @Test
    void theOverviewNamesAnOutageAndItsEnd() {
        user("page-5", "辛");
        Page page = as("viewer");
        page.navigate(home + "/console");
        // how each breaker stands is seen before anything is away
        Locator breaker = page.locator("dt:has(a[href='/console/flows#deliver-mini-orders']) + dd .chip");
        assertThat(breaker).hasText("closed: lets through");
        mini.always(503);
        try {
            app.update("update users set nickname = '壬', updated_at = clock_timestamp() where user_id = 'page-5'");
            page.navigate(home + "/console");
            // the page refreshes itself
            assertThat(page.locator(".troubles"))
                    .containsText(
                            "Mini-program is away",
                            new com.microsoft.playwright.assertions.LocatorAssertions.ContainsTextOptions()
                                    .setTimeout(30_000));
            assertThat(breaker).hasText(Pattern.compile("open: waits|half open: tries"));
        } finally {
            mini.always(null);
        }
        soon(() -> assertThat(mini.read("user", "page-5").path("nickname").asText())
                .isEqualTo("壬"));
        assertThat(page.locator("#now"))
                .not()
                .containsText(
                        "Mini-program is away",
                        new com.microsoft.playwright.assertions.LocatorAssertions.ContainsTextOptions()
                                .setTimeout(30_000));
        assertThat(breaker).hasText("closed: lets through");
    }

    @Test
    void whatComesFromOutsideIsShownAsText() {
        user("page-6", "<img src=x onerror=alert(1)>\u001b[31m𝕏");
        Page page = as("viewer");
        Response answer = page.navigate(home + "/console/users/page-6");
        assertThat(answer.status()).isEqualTo(200);
        assertThat(page.locator("table.compare img")).hasCount(0);
        assertThat(page.locator("table.compare")).containsText("<img src=x onerror=alert(1)>");
        assertThat(page.locator("table.compare")).containsText("𝕏");
    }
}
