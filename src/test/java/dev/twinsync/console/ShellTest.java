package dev.twinsync.console;

import static com.microsoft.playwright.assertions.PlaywrightAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;

import com.microsoft.playwright.APIResponse;
import com.microsoft.playwright.Browser;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.Response;
import com.microsoft.playwright.options.Cookie;
import com.microsoft.playwright.options.FormData;
import com.microsoft.playwright.options.RequestOptions;
import jakarta.servlet.http.HttpSession;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.catalina.Context;
import org.junit.jupiter.api.Test;
import org.springframework.boot.web.embedded.tomcat.TomcatWebServer;
import org.springframework.boot.web.servlet.context.ServletWebServerApplicationContext;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerMapping;

/** The frame of the console: who comes in, in which language, and what a page may never do. */
class ShellTest extends Browsing {

    @Test
    void whoeverIsNotSignedInIsAskedToAndComesToThePageThatWasWanted() {
        Page page = fresh();
        page.navigate(home + "/console/audit?act=person.sign-in");
        assertThat(page).hasURL(Pattern.compile(".*/login"));
        page.locator("#username").fill("viewer");
        page.locator("#password").fill("wrong");
        page.locator("main button").click();
        assertThat(page.locator(".flash.bad")).containsText("not known");
        signIn(page, "viewer", "viewer");
        assertThat(page.locator("h1")).hasText("Audit");
        assertThat(page).hasURL(Pattern.compile(".*act=person.sign-in.*"));
        assertThat(page.locator("tbody tr").first()).containsText("viewer");
        page.locator(".person button").click();
        assertThat(page.locator(".flash")).containsText("signed out");
        page.navigate(home + "/console");
        assertThat(page).hasURL(Pattern.compile(".*/login"));
    }

    @Test
    void guessingIsSlowedDown() {
        Page page = fresh();
        for (int i = 0; i < 6; i++) {
            signIn(page, "nobody-here", "guess" + i);
        }
        assertThat(page.locator(".flash.bad")).containsText("Too many attempts");
    }

    @Test
    void theLanguageIsTheBrowsersAndCanBeSwitched() {
        Page page = page(new Browser.NewContextOptions().setLocale("zh-CN").setViewportSize(1280, 800));
        page.navigate(home + "/login");
        assertThat(page.locator("h1")).hasText("登录");
        assertThat(page.locator("html")).hasAttribute("lang", "zh-CN");
        page.getByText("English").click();
        assertThat(page.locator("h1")).hasText("Sign in");
        page.navigate(home + "/login");
        assertThat(page.locator("h1")).hasText("Sign in");
    }

    @Test
    void lightAndDarkFollowTheDeviceAndTheSwitch() {
        Page page = as("viewer");
        page.navigate(home + "/console");
        assertThat(page.locator("html")).hasAttribute("data-theme", "auto");
        page.locator("[data-theme-switch]").click();
        assertThat(page.locator("html")).hasAttribute("data-theme", "dark");
        page.reload();
        assertThat(page.locator("html")).hasAttribute("data-theme", "dark");
    }

    @Test
    void theKeyboardReachesTheContentAndTheSearch() {
        Page page = as("viewer");
        page.navigate(home + "/console");
        page.keyboard().press("Tab");
        assertThat(page.locator(".skip")).isFocused();
        page.keyboard().press("Enter");
        assertThat(page.locator("#main")).isFocused();
        page.keyboard().press("/");
        assertThat(page.locator("#q")).isFocused();
        page.keyboard().type("no-such-id <b>");
        page.keyboard().press("Enter");
        assertThat(page.locator(".empty")).containsText("“no-such-id <b>”");
    }

    @Test
    void errorsArePagesInTheReadersLanguage() {
        Page page = as("viewer");
        Response answer = page.navigate(home + "/console/nothing/of/the/kind");
        assertThat(answer.status()).isEqualTo(404);
        assertThat(page.locator("h1")).hasText("There is nothing here");
        for (String asked : new String[] {
            "/console/users/u?live=perhaps", "/console/letters/retries?after=one", "/console/letters?all=some"
        }) {
            assertThat(page.navigate(home + asked).status()).as(asked).isEqualTo(400);
            assertThat(page.locator("h1")).hasText("That can’t be read");
        }
        Map<String, String> refused = new LinkedHashMap<>();
        refused.put("/console/verification?after=x", "after: write a number");
        refused.put("/console/conflicts?entity=thing", "entity: write one of");
        refused.put("/console/conflicts?state=%00", "state: write one of open,");
        refused.put("/console/letters?state=odd", "state: write one of new,");
        refused.put("/console/letters/list?attempts=many", "attempts: write the least number");
        refused.put("/console/letters/list?key=%00", "key: U+0000 is in no letter");
        refused.put("/console/letters/export?format=xls", "format: write one of jsonl");
        refused.put("/console/letters?all=some", "all: write true or false");
        refused.forEach((asked, told) -> {
            assertThat(page.navigate(home + asked).status()).as(asked).isEqualTo(400);
            assertThat(page.locator(".note")).containsText(told);
        });
        for (String asked : List.of("/console/search?q=%00", "/console/audit?who=%00", "/console/audit?target=a%00")) {
            assertThat(page.navigate(home + asked).status()).as(asked).isEqualTo(200);
        }
        page.navigate(home + "/console?lang=zh-CN");
        page.navigate(home + "/console/letters?state=odd");
        assertThat(page.locator(".note")).containsText("state：应为 new");
        page.navigate(home + "/console/nothing/of/the/kind");
        assertThat(page.locator("h1")).hasText("这里什么也没有");
    }

    @Test
    void aViewerMayNotActAndNobodyMayWithoutAToken() {
        Page page = as("viewer");
        page.navigate(home + "/console");
        APIResponse noToken = page.request()
                .post(home + "/console/anything", RequestOptions.create().setHeader("Accept", "text/html"));
        assertThat(noToken.status()).isEqualTo(403);
        assertThat(noToken.text()).contains("You may not do this");
        String token = page.locator(".person input[name=_csrf]").getAttribute("value");
        APIResponse noRight = page.request()
                .post(
                        home + "/console/anything",
                        RequestOptions.create().setForm(FormData.create().set("_csrf", token)));
        assertThat(noRight.status()).isEqualTo(403);
        Page operator = as("operator");
        operator.navigate(home + "/console");
        token = operator.locator(".person input[name=_csrf]").getAttribute("value");
        assertThat(operator.request()
                        .post(
                                home + "/console/anything",
                                RequestOptions.create()
                                        .setForm(FormData.create().set("_csrf", token)))
                        .status())
                .isEqualTo(405);
    }

    @Test
    void everyPathOfTheConsoleRefusesWhoeverHasNoRight() {
        Page nobody = fresh();
        Page viewer = as("viewer");
        viewer.navigate(home + "/console");
        String token = viewer.locator(".person input[name=_csrf]").getAttribute("value");
        List<String> breaches = new java.util.ArrayList<>();
        int[] seen = {0};
        neighbours
                .service()
                .getBean("requestMappingHandlerMapping", RequestMappingHandlerMapping.class)
                .getHandlerMethods()
                .keySet()
                .forEach(mapping -> mapping.getPatternValues().stream()
                        .filter(path -> path.startsWith("/console"))
                        .forEach(pattern -> {
                            seen[0]++;
                            String path = home
                                    + pattern.replaceAll("\\{[a-z]+:([a-z]+)\\|[^}]*}", "$1")
                                            .replaceAll("\\{plural[^}]*}", "users")
                                            .replaceAll("\\{[^}]*}", "1");
                            boolean reads = mapping.getMethodsCondition()
                                    .getMethods()
                                    .contains(org.springframework.web.bind.annotation.RequestMethod.GET);
                            RequestOptions still = RequestOptions.create().setMaxRedirects(0);
                            APIResponse stranger = reads
                                    ? nobody.request().get(path, still)
                                    : nobody.request().post(path, still);
                            if (stranger.status() != 302 && stranger.status() != 403) {
                                breaches.add("anybody gets " + stranger.status() + " of " + pattern);
                            }
                            if (!reads) {
                                int status = viewer.request()
                                        .post(
                                                path,
                                                RequestOptions.create()
                                                        .setForm(FormData.create()
                                                                .set("_csrf", token)))
                                        .status();
                                if (status != 403) {
                                    breaches.add("a viewer gets " + status + " of " + pattern);
                                }
                            }
                        }));
        assertThat(breaches).isEmpty();
        assertThat(seen[0]).isGreaterThan(10);
    }

    /** The session of a page's person, on the server. */
    private HttpSession session(Page page) {
        String id = page.context().cookies().stream()
                .filter(cookie -> cookie.name.equals("twinsync"))
                .findFirst()
                .orElseThrow()
                .value;
        var server = (TomcatWebServer) ((ServletWebServerApplicationContext) neighbours.service()).getWebServer();
        try {
            return ((Context) server.getTomcat().getHost().findChildren()[0])
                    .getManager()
                    .findSession(id)
                    .getSession();
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    @Test
    void aSessionEndsWhereNobodyDoesAnythingAndThePageThatRefreshesItselfIsNobody() {
        Page page = fresh();
        signIn(page, "viewer", "viewer");
        assertThat(page.locator("h1")).hasText("Overview");
        Instant acted = Instant.now().minus(Duration.ofMinutes(59));
        session(page).setAttribute(SessionEnd.ACTED, acted);
        assertThat(page.request()
                        .get(home + "/console/overview", RequestOptions.create().setHeader("HX-Request", "true"))
                        .status())
                .isEqualTo(200);
        assertThat(session(page).getAttribute(SessionEnd.ACTED)).isEqualTo(acted);
        page.navigate(home + "/console/letters");
        assertThat((Instant) session(page).getAttribute(SessionEnd.ACTED)).isAfter(acted);

        session(page).setAttribute(SessionEnd.ACTED, Instant.now().minus(Duration.ofMinutes(61)));
        APIResponse part = page.request()
                .get(
                        home + "/console/overview",
                        RequestOptions.create().setHeader("HX-Request", "true").setMaxRedirects(0));
        assertThat(part.status()).isEqualTo(401);
        assertThat(part.headers().get("hx-redirect")).isEqualTo("/login?ended");
        page.navigate(home + "/console/flows");
        assertThat(page).hasURL(Pattern.compile(".*/login.*"));
    }

    @Test
    void aSessionEndsAfterTwelveHoursWhateverIsDone() {
        Page page = fresh();
        signIn(page, "viewer", "viewer");
        assertThat(page.locator("h1")).hasText("Overview");
        session(page).setAttribute(SessionEnd.BEGAN, Instant.now().minus(Duration.ofHours(12)));
        page.navigate(home + "/console/flows");
        assertThat(page).hasURL(Pattern.compile(".*/login\\?ended"));
        assertThat(page.locator(".flash")).containsText("ended");
        signIn(page, "viewer", "viewer");
        assertThat(page.locator("h1")).hasText("Flows");
    }

    @Test
    void headersAndCookiesAreStrict() {
        Page page = as("viewer");
        var headers = page.navigate(home + "/console").headers();
        assertThat(headers.get("content-security-policy"))
                .contains("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'")
                .doesNotContain("unsafe");
        assertThat(headers.get("x-content-type-options")).isEqualTo("nosniff");
        assertThat(headers.get("x-frame-options")).isEqualTo("DENY");
        assertThat(headers.get("cache-control")).contains("no-store");
        List<Cookie> cookies = page.context().cookies();
        assertThat(cookies).extracting(cookie -> cookie.name).contains("twinsync");
        for (Cookie cookie : cookies) {
            assertThat(cookie.sameSite.name()).as(cookie.name).isEqualTo("LAX");
            if (!cookie.name.equals("twinsync-lang") && !cookie.name.equals("twinsync-theme")) {
                assertThat(cookie.httpOnly).as(cookie.name).isTrue();
            }
        }
    }
}
